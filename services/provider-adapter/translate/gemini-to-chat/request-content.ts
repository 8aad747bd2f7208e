import type { JsonObject } from "../../provider.ts";
import { isObject, objectOf, textOf } from "../json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import { camelCased } from "./spelling.ts";

/** Where only Google reads: files that were uploaded to the Gemini API, and Cloud Storage. */
const googleOnly = /^(?:gs:\/\/|https:\/\/generativelanguage\.googleapis\.com\/|files\/)/i;
/** Audio formats in OpenAI's words. */
const audioFormats: Readonly<Record<string, string>> = { mpeg: "mp3", "x-wav": "wav", wave: "wav", "x-m4a": "m4a" };

/** Turns a part of a user's turn, its names in camelCase, into parts of a chat message; none for what says nothing. */
export function contentParts(part: JsonObject, settings: TranslationSettings): JsonObject[] {
  if (typeof part.text === "string") return [{ type: "text", text: part.text }];
  if (isObject(part.inlineData)) return inlinePart(camelCased(part.inlineData), settings);
  if (isObject(part.fileData)) return filePart(camelCased(part.fileData), settings);
  const ran = ranCode(part);
  if (ran !== undefined) return [{ type: "text", text: ran }];
  return Object.keys(part).length === 0 ? [] : refuse(settings, `a part with '${Object.keys(part)[0]}'`);
}

/** Code that Gemini ran, and what came of it, in words; undefined for any other part. */
export function ranCode(part: JsonObject): string | undefined {
  if (isObject(part.executableCode)) {
    return `\`\`\`${textOf(part.executableCode.language).toLowerCase()}\n${textOf(part.executableCode.code)}\n\`\`\``;
  }
  return isObject(part.codeExecutionResult) ? `\`\`\`\n${textOf(part.codeExecutionResult.output)}\n\`\`\`` : undefined;
}

function inlinePart({ mimeType, data, displayName }: JsonObject, settings: TranslationSettings): JsonObject[] {
  const type = textOf(mimeType);
  const [kind, format = ""] = (type.split(";", 1)[0] ?? "").split("/");
  const base64 = standardBase64(textOf(data));
  const url = `data:${type};base64,${base64}`;
  switch (kind) {
    case "image":
      return [{ type: "image_url", image_url: { url } }];
    case "audio":
      return [{ type: "input_audio", input_audio: { data: base64, format: audioFormats[format] ?? format } }];
    case "video":
      return [{ type: "video_url", video_url: { url } }];
    case "text":
      return [{ type: "text", text: Buffer.from(base64, "base64").toString() }];
    case "application":
      return [{ type: "file", file: { filename: textOf(displayName) || `document.${format}`, file_data: url } }];
    default:
      return refuse(settings, `data of type '${type}'`);
  }
}

/** Google takes both alphabets, chat completions the standard one. */
function standardBase64(data: string): string {
  return data.replaceAll("-", "+").replaceAll("_", "/");
}

function filePart({ mimeType, fileUri }: JsonObject, settings: TranslationSettings): JsonObject[] {
  const url = textOf(fileUri);
  const type = textOf(mimeType);
  if (googleOnly.test(url)) return refuse(settings, "a file that lies at Google");
  if (type.startsWith("image/") || (type === "" && /\.(?:png|jpe?g|gif|webp)(?:[?#]|$)/i.test(url))) {
    return [{ type: "image_url", image_url: { url } }];
  }
  if (type.startsWith("video/")) return [{ type: "video_url", video_url: { url } }];
  if (type.startsWith("audio/")) return [{ type: "audio_url", audio_url: { url } }];
  return [{ type: "file", file: { file_id: url, ...(type === "" ? {} : { format: type }) } }];
}

/** The texts of a content or of its parts, one a line. */
export function plainText(content: JsonObject | string): string {
  if (typeof content === "string") return content;
  return partsOf(content)
    .map((part) => textOf(part.text))
    .filter((text) => text !== "")
    .join("\n");
}

/** The parts of a content, their names in camelCase; one that stands alone is taken as a list of one. */
export function partsOf({ parts }: JsonObject): JsonObject[] {
  const list = Array.isArray(parts) ? parts : [parts];
  return list.flatMap((part) =>
    typeof part === "string" ? [{ text: part }] : isObject(part) ? [camelCased(part)] : [],
  );
}

export function refuse(settings: TranslationSettings, what: string): [] {
  refuseOrDrop(settings, "contents", `This provider is spoken to over chat completions, which do not take ${what}.`);
  return [];
}

/** What a function gave back, as text. A plain one stands under `output`, or under the clients' own word for it. */
export function resultText(response: JsonObject): string {
  const [name, second] = Object.keys(response);
  const value = name === undefined ? undefined : response[name];
  const plain = second === undefined && (name === "output" || name === "result") && typeof value === "string";
  return plain ? value : JSON.stringify(response);
}

/** The object of a member that has to be one. */
export function namedObject(part: JsonObject, name: string): JsonObject {
  return camelCased(objectOf(part[name]));
}
