import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, textOf, without } from "../json-reading.ts";
import { registeredMediaType } from "../registered-media-type.ts";

/**
 * Turns the content of a chat message into Anthropic's blocks. A part whose type OpenAI does not define passes as it
 * is: it is one of Anthropic's own blocks (`document`, `search_result`, `container_upload`, …), or new. Marks that only
 * Anthropic knows (`cache_control`, `citations`) stay on the part that carries them. Empty texts, which Anthropic
 * refuses, are left out. `image_url.detail` has no counterpart and no effect.
 */
export function contentBlocks(content: JsonValue | undefined, role: string): JsonObject[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  if (!Array.isArray(content)) return [];
  const blocks: JsonObject[] = [];
  for (const part of content) {
    const block = isObject(part) ? contentBlock(part, role) : textBlock(part);
    if (block !== undefined) blocks.push(block);
  }
  return blocks;
}

/** Puts a message's own `cache_control` on its last block, where Anthropic expects it. */
export function markLastBlock(blocks: readonly JsonObject[], mark: JsonValue | undefined): void {
  const last = blocks.at(-1);
  if (isObject(mark) && last !== undefined && last.cache_control === undefined) last.cache_control = mark;
}

function textBlock(part: JsonValue): JsonObject | undefined {
  return typeof part === "string" && part !== "" ? { type: "text", text: part } : undefined;
}

function contentBlock(part: JsonObject, role: string): JsonObject | undefined {
  switch (part.type) {
    case "text":
      return part.text === "" ? undefined : { ...part };
    case "refusal":
      return { type: "text", text: textOf(part.refusal) };
    case "image_url":
      return imageBlock(part);
    case "file":
      return fileBlock(part);
    // Mistral's word for a document by its address.
    case "document_url":
      return { type: "document", source: source(textOf(part.document_url)), ...without(part, "type", "document_url") };
    case "input_audio":
    case "audio_url":
    case "video_url":
      throw invalidContent(`Anthropic takes no content of type '${textOf(part.type)}' in a ${role} message.`);
    default:
      return { ...part };
  }
}

function imageBlock(part: JsonObject): JsonObject {
  const image = part.image_url;
  const url = isObject(image) ? textOf(image.url) : textOf(image);
  if (url === "") throw invalidContent("A content part of type 'image_url' needs a url.");
  return { type: "image", source: source(url), ...without(part, "type", "image_url") };
}

/** https://platform.openai.com/docs/api-reference/chat/create: `file` holds `file_data` with `filename`, or `file_id`. */
function fileBlock(part: JsonObject): JsonObject {
  const file = objectOf(part.file);
  const marks = without(part, "type", "file");
  const id = textOf(file.file_id);
  const data = textOf(file.file_data);
  if (data === "" && id === "") throw invalidContent("A content part of type 'file' needs file_data or file_id.");
  if (data === "" && !/^https?:/.test(id)) {
    const image = textOf(file.format).startsWith("image/");
    return { type: image ? "image" : "document", source: { type: "file", file_id: id }, ...marks };
  }
  const from = source(data === "" ? id : data, textOf(file.format) || "application/pdf");
  const image = textOf(from.media_type).startsWith("image/");
  if (image) return { type: "image", source: from, ...marks };
  const name = textOf(file.filename);
  return { type: "document", source: from, ...(name === "" ? {} : { title: name }), ...marks };
}

/** The source of an image or document: a data URL, a web address, or bare base64 of the given media type. */
function source(address: string, bareType = "image/png"): JsonObject {
  if (/^https?:/i.test(address)) return { type: "url", url: address };
  if (!address.startsWith("data:")) return dataSource(bareType, address, true);
  const comma = address.indexOf(",");
  if (comma < 0) throw invalidContent("A data URL needs a comma before its data.");
  const [mediaType = "", ...flags] = address.slice("data:".length, comma).split(";");
  return dataSource(registeredMediaType(mediaType || bareType), address.slice(comma + 1), flags.includes("base64"));
}

function dataSource(mediaType: string, data: string, base64: boolean): JsonObject {
  if (mediaType.startsWith("text/") || mediaType === "application/json") {
    const text = base64 ? Buffer.from(data, "base64").toString("utf8") : decodePercent(data);
    return { type: "text", media_type: "text/plain", data: text };
  }
  if (base64) return { type: "base64", media_type: mediaType, data };
  return { type: "base64", media_type: mediaType, data: Buffer.from(decodePercent(data)).toString("base64") };
}

function decodePercent(data: string): string {
  try {
    return decodeURIComponent(data);
  } catch {
    throw invalidContent("A data URL is neither base64 nor percent-encoded.");
  }
}

function invalidContent(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "messages" });
}
