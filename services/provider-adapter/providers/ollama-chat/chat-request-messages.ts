import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";

/** Turns chat messages into Ollama's: text in one piece, images beside it, arguments of tools as objects. */
export function ollamaMessages(messages: JsonValue | undefined, settings: TranslationSettings): JsonObject[] {
  if (!Array.isArray(messages)) {
    throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array.", { param: "messages" });
  }
  const toolNames = new Map<string, string>();
  return objectsOf(messages).map((message) => ollamaMessage(message, toolNames, settings));
}

function ollamaMessage(message: JsonObject, toolNames: Map<string, string>, settings: TranslationSettings): JsonObject {
  const role = message.role === "developer" ? "system" : textOf(message.role);
  const result: JsonObject = { role, ...contentOf(message.content, settings) };
  if (role === "tool") {
    const name = toolNames.get(textOf(message.tool_call_id)) ?? textOf(message.name);
    if (name !== "") result.tool_name = name;
  }
  if (role !== "assistant") return result;
  const thinking = textOf(message.reasoning_content);
  if (thinking !== "") result.thinking = thinking;
  const calls = objectsOf(message.tool_calls);
  if (calls.length > 0) result.tool_calls = calls.map((call) => toolCall(call, toolNames));
  return result;
}

/** Ollama tells a tool's result by the name of the tool; the id is remembered for it. */
function toolCall(call: JsonObject, toolNames: Map<string, string>): JsonObject {
  const { name, arguments: args } = objectOf(call.function);
  toolNames.set(textOf(call.id), textOf(name));
  return { type: "function", function: { name: textOf(name), arguments: parseObject(textOf(args)) ?? {} } };
}

function contentOf(content: JsonValue | undefined, settings: TranslationSettings): JsonObject {
  if (!Array.isArray(content)) return { content: textOf(content) };
  const texts: string[] = [];
  const images: string[] = [];
  for (const part of content) {
    if (typeof part === "string") texts.push(part);
    else if (isObject(part)) addPart(part, texts, images, settings);
  }
  return { content: texts.join("\n"), ...(images.length > 0 ? { images } : {}) };
}

function addPart(part: JsonObject, texts: string[], images: string[], settings: TranslationSettings): void {
  if (part.type === "text" || part.type === "refusal") {
    texts.push(textOf(part[part.type]));
    return;
  }
  if (part.type === "image_url") {
    const url = textOf(part.image_url) || textOf(objectOf(part.image_url).url);
    const data = /^data:[^,]*;base64,(.*)$/s.exec(url)?.[1];
    if (data !== undefined) images.push(data);
    else refuseOrDrop(settings, "messages", "Ollama takes images as base64 data, not by their address.");
    return;
  }
  refuseOrDrop(settings, "messages", `Ollama takes no '${textOf(part.type)}' in a message.`);
}
