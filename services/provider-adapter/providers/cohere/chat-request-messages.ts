import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";

/** Turns chat messages into Cohere's. Their fields are written anew: Cohere refuses those that it does not know. */
export function cohereMessages(messages: JsonValue | undefined, settings: TranslationSettings): JsonObject[] {
  if (!Array.isArray(messages)) {
    throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array.", { param: "messages" });
  }
  return objectsOf(messages).map((message) => cohereMessage(message, settings));
}

function cohereMessage(message: JsonObject, settings: TranslationSettings): JsonObject {
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "system", content: contentOf(message.content, "system", settings) };
    case "assistant":
      return assistantMessage(message, settings);
    case "tool":
      return {
        role: "tool",
        tool_call_id: textOf(message.tool_call_id),
        content: contentOf(message.content, "tool", settings),
      };
    case "user":
      return { role: "user", content: contentOf(message.content, "user", settings) };
    default:
      throw gatewayError(Reason.INVALID_REQUEST, `Cohere has no messages of role '${textOf(message.role)}'.`, {
        param: "messages",
      });
  }
}

/** The plan before a tool call is Cohere's `tool_plan`; reasoning before a text is a part of the content. */
function assistantMessage(message: JsonObject, settings: TranslationSettings): JsonObject {
  const result: JsonObject = { role: "assistant" };
  const calls = objectsOf(message.tool_calls);
  const reasoning = textOf(message.reasoning_content);
  const content = contentOf(message.content, "assistant", settings);
  const thinking = calls.length === 0 && reasoning !== "" ? [{ type: "thinking", thinking: reasoning }] : [];
  if (thinking.length > 0) result.content = [...thinking, ...partsOf(content)];
  else if (content.length > 0 || calls.length === 0) result.content = content;
  if (calls.length === 0) return result;
  const plan = textOf(objectOf(message.provider_specific_fields).tool_plan) || reasoning;
  if (plan !== "") result.tool_plan = plan;
  result.tool_calls = calls.map((call) => {
    const { name, arguments: args } = objectOf(call.function);
    return { id: textOf(call.id), type: "function", function: { name: textOf(name), arguments: textOf(args) || "{}" } };
  });
  return result;
}

function partsOf(content: string | JsonObject[]): JsonObject[] {
  if (typeof content !== "string") return content;
  return content === "" ? [] : [{ type: "text", text: content }];
}

type Role = "system" | "user" | "assistant" | "tool";

function contentOf(content: JsonValue | undefined, role: Role, settings: TranslationSettings): string | JsonObject[] {
  if (!Array.isArray(content)) return textOf(content);
  const parts: JsonObject[] = [];
  for (const part of content) {
    const translated = typeof part === "string" ? { type: "text", text: part } : partOf(part, role, settings);
    if (translated !== undefined) parts.push(translated);
  }
  return parts;
}

/** Images stand in what a user says; documents, Cohere's own kind of part, in what a tool says. */
function partOf(part: JsonValue, role: Role, settings: TranslationSettings): JsonObject | undefined {
  if (!isObject(part)) return undefined;
  if (part.type === "text") return { type: "text", text: textOf(part.text) };
  if (part.type === "refusal") return { type: "text", text: textOf(part.refusal) };
  if (part.type === "image_url" && role === "user") return { type: "image_url", image_url: imageOf(part.image_url) };
  if (part.type === "document" && role === "tool") return { ...part };
  if (part.type === "thinking" && role === "assistant") return { type: "thinking", thinking: textOf(part.thinking) };
  refuseOrDrop(settings, "messages", `Cohere takes no '${textOf(part.type)}' in a message of role '${role}'.`);
  return undefined;
}

function imageOf(image: JsonValue | undefined): JsonObject {
  if (typeof image === "string") return { url: image };
  const { url, detail } = objectOf(image);
  return { url: textOf(url), ...(typeof detail === "string" ? { detail } : {}) };
}
