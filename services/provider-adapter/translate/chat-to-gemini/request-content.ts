import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, textOf } from "../json-reading.ts";
import { registeredMediaType } from "../registered-media-type.ts";
import { audioMediaType, mediaTypeOfAddress } from "./media-type.ts";

/** Where the Gemini API keeps the files that were uploaded to it. */
const filesAddress = "https://generativelanguage.googleapis.com/v1beta/";
/** Members that make an object one of Gemini's own parts. */
const nativeMembers = ["inlineData", "fileData", "inline_data", "file_data", "executableCode", "codeExecutionResult"];

/**
 * Turns the content of a chat message into Gemini's parts. What lies in a data URL is sent along; what lies at an address
 * is named, and Gemini fetches it. Empty texts, which Gemini refuses, are left out. `cache_control` and
 * `image_url.detail` have no counterpart and no effect.
 */
export function geminiParts(content: JsonValue | undefined): JsonObject[] {
  if (typeof content === "string") return textParts(content);
  if (!Array.isArray(content)) return [];
  return content.flatMap((part) => {
    if (typeof part === "string") return textParts(part);
    return isObject(part) ? geminiPart(part) : [];
  });
}

function textParts(text: string): JsonObject[] {
  return text === "" ? [] : [{ text }];
}

function geminiPart(part: JsonObject): JsonObject[] {
  switch (part.type) {
    case "text":
      return textParts(textOf(part.text));
    case "refusal":
      return textParts(textOf(part.refusal));
    case "image_url":
      return [mediaPart(part, part.image_url, "image/jpeg")];
    case "video_url":
      return [mediaPart(part, part.video_url, "video/mp4")];
    case "audio_url":
      return [mediaPart(part, part.audio_url, "audio/mpeg")];
    case "document_url":
      return [mediaPart(part, part.document_url, "application/pdf")];
    case "input_audio":
      return [audioPart(objectOf(part.input_audio))];
    case "file":
      return [filePart(objectOf(part.file))];
    default:
      if (nativeMembers.some((name) => part[name] !== undefined)) return [{ ...part }];
      throw invalidContent(`Gemini takes no content of type '${textOf(part.type)}'.`);
  }
}

function mediaPart(part: JsonObject, value: JsonValue | undefined, otherwise: string): JsonObject {
  const given = objectOf(value);
  const address = textOf(value) || textOf(given.url);
  if (address === "") throw invalidContent(`A content part of type '${textOf(part.type)}' needs a url.`);
  return withVideoMetadata(dataPart(address, textOf(given.format), otherwise), given.video_metadata);
}

/** https://platform.openai.com/docs/api-reference/chat/create: `data` in base64 and its `format`, `wav` or `mp3`. */
function audioPart(audio: JsonObject): JsonObject {
  const data = textOf(audio.data);
  if (data === "") throw invalidContent("A content part of type 'input_audio' needs data.");
  return dataPart(data, audioMediaType(textOf(audio.format)), "audio/wav");
}

/** `file_data` with `filename`, or a `file_id`: the id or address of an uploaded file, or any other address. */
function filePart(file: JsonObject): JsonObject {
  const data = textOf(file.file_data);
  const id = textOf(file.file_id);
  if (data === "" && id === "") throw invalidContent("A content part of type 'file' needs file_data or file_id.");
  const address = data === "" && /^files\//.test(id) ? `${filesAddress}${id}` : data || id;
  const otherwise = mediaTypeOfAddress(textOf(file.filename), "application/pdf");
  const part =
    data === "" && !isAddress(address)
      ? { fileData: { mimeType: textOf(file.format) || otherwise, fileUri: address } }
      : dataPart(address, textOf(file.format), otherwise);
  return withVideoMetadata(part, file.video_metadata);
}

/** A data URL, a web or storage address, or bare base64. `type` is the media type as far as the client told it. */
function dataPart(address: string, type: string, otherwise: string): JsonObject {
  if (address.startsWith("data:")) return inlinePart(address, type || otherwise);
  if (!isAddress(address)) return { inlineData: { mimeType: registeredMediaType(type || otherwise), data: address } };
  return {
    fileData: { mimeType: registeredMediaType(type) || mediaTypeOfAddress(address, otherwise), fileUri: address },
  };
}

function isAddress(text: string): boolean {
  return /^(?:https?|gs):\/\//i.test(text);
}

function inlinePart(url: string, otherwise: string): JsonObject {
  const comma = url.indexOf(",");
  if (comma < 0) throw invalidContent("A data URL needs a comma before its data.");
  const [mediaType = "", ...flags] = url.slice("data:".length, comma).split(";");
  const data = url.slice(comma + 1);
  const base64 = flags.includes("base64") ? data : Buffer.from(decodePercent(data)).toString("base64");
  return { inlineData: { mimeType: registeredMediaType(mediaType || otherwise), data: base64 } };
}

function decodePercent(data: string): string {
  try {
    return decodeURIComponent(data);
  } catch {
    throw invalidContent("A data URL is neither base64 nor percent-encoded.");
  }
}

function withVideoMetadata(part: JsonObject, metadata: JsonValue | undefined): JsonObject {
  return isObject(metadata) ? { ...part, videoMetadata: metadata } : part;
}

function invalidContent(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "messages" });
}
