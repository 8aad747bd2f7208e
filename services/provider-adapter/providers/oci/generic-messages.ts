import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";

/** Turns chat messages into Oracle's. */
export function genericMessages(messages: JsonValue | undefined, settings: TranslationSettings): JsonObject[] {
  if (!Array.isArray(messages)) {
    throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array.", { param: "messages" });
  }
  return objectsOf(messages).map((message) => genericMessage(message, settings));
}

function genericMessage(message: JsonObject, settings: TranslationSettings): JsonObject {
  const content = contentOf(message.content, settings);
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "SYSTEM", content };
    case "user":
      return { role: "USER", content };
    case "tool":
      return { role: "TOOL", toolCallId: textOf(message.tool_call_id), content };
    case "assistant":
      return assistantMessage(message, content);
    default:
      throw gatewayError(Reason.INVALID_REQUEST, `oci has no messages of role '${textOf(message.role)}'.`, {
        param: "messages",
      });
  }
}

function assistantMessage(message: JsonObject, content: JsonObject[]): JsonObject {
  const calls = objectsOf(message.tool_calls);
  if (calls.length === 0) return { role: "ASSISTANT", content };
  const toolCalls = calls.map((call) => {
    const { name, arguments: args } = objectOf(call.function);
    return { type: "FUNCTION", id: textOf(call.id), name: textOf(name), arguments: textOf(args) || "{}" };
  });
  return { role: "ASSISTANT", content: content.length > 0 ? content : null, toolCalls };
}

function contentOf(content: JsonValue | undefined, settings: TranslationSettings): JsonObject[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "TEXT", text: content }];
  return (Array.isArray(content) ? content : []).flatMap((part) => {
    const translated = typeof part === "string" ? { type: "TEXT", text: part } : partOf(part, settings);
    return translated === undefined ? [] : [translated];
  });
}

function partOf(part: JsonValue, settings: TranslationSettings): JsonObject | undefined {
  if (!isObject(part)) return undefined;
  if (part.type === "text") return { type: "TEXT", text: textOf(part.text) };
  if (part.type === "refusal") return { type: "TEXT", text: textOf(part.refusal) };
  if (part.type === "image_url") return { type: "IMAGE", imageUrl: imageOf(part.image_url) };
  const file = textOf(objectOf(part.file).file_data);
  if (part.type === "file" && file !== "") return { type: "DOCUMENT", documentUrl: { url: file } };
  refuseOrDrop(settings, "messages", `oci takes no '${textOf(part.type)}' in a message.`);
  return undefined;
}

function imageOf(image: JsonValue | undefined): JsonObject {
  if (typeof image === "string") return { url: image };
  const { url, detail } = objectOf(image);
  return typeof detail === "string" ? { url: textOf(url), detail: detail.toUpperCase() } : { url: textOf(url) };
}
