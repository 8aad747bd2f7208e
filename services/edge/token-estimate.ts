import { isObject, type JsonObject } from "./body-json.ts";

/**
 * Tokens of an image. Providers charge by size and detail, 85 to about 4,800; this is above what they charge for a
 * picture of full detail at usual sizes.
 */
const imageTokens = 2_000;
/** Tokens of a file, a recording or a film, whose length cannot be told from here. */
const attachmentTokens = 10_000;
const bytesPerToken = 3;
/** Role, separators and the like, for every object of a conversation or a tool list. */
const objectTokens = 4;

const images: ReadonlySet<unknown> = new Set(["image", "image_url", "input_image", "computer_screenshot"]);
const attachments: ReadonlySet<unknown> = new Set([
  "audio",
  "document",
  "file",
  "input_audio",
  "input_file",
  "video",
  "video_url",
]);
/** Where an attachment has its bytes or its address. Whatever else stands in it is text. */
const payloadNames: ReadonlySet<string> = new Set([
  "data",
  "fileUri",
  "file_data",
  "file_uri",
  "file_url",
  "image_url",
  "url",
  "video_url",
]);

/**
 * Estimates from above how many input tokens a parsed JSON value makes. Text counts its UTF-8 bytes by three: ordinary
 * text has four bytes and more in a token, dense scripts about three. Numbers (token ids, for example) and other scalars
 * count one. The bytes of an image or a file do not count, but a flat amount does. It walks with a list of its own, so
 * that depth is no danger.
 */
export function estimateTokens(root: unknown): number {
  let bytes = 0;
  let tokens = 0;
  const values: unknown[] = [root];
  const inAttachment: boolean[] = [false];
  while (values.length > 0) {
    const value = values.pop();
    const attached = inAttachment.pop() ?? false;
    if (typeof value === "string") {
      bytes += Buffer.byteLength(value);
    } else if (typeof value !== "object" || value === null) {
      tokens += 1;
    } else if (Array.isArray(value)) {
      for (const item of value) {
        if (typeof item === "number") {
          tokens += 1;
        } else {
          values.push(item);
          inAttachment.push(attached);
        }
      }
    } else if (isObject(value)) {
      const { type } = value;
      const kind = images.has(type) ? imageTokens : attachments.has(type) ? attachmentTokens : googleTokens(value);
      tokens += objectTokens + kind;
      const opaque = (attached || kind > 0) && type !== "text";
      for (const name in value) {
        const member = value[name];
        if (opaque && typeof member === "string" && payloadNames.has(name)) continue;
        bytes += name.length;
        values.push(member);
        inAttachment.push(opaque);
      }
    }
  }
  return tokens + Math.ceil(bytes / bytesPerToken);
}

/** Google's `inlineData` and `fileData` have no type; what is in them is told by its media type. A text counts as one. */
function googleTokens(value: JsonObject): number {
  const mediaType = value.mimeType === undefined ? value.mime_type : value.mimeType;
  if (typeof mediaType !== "string" || mediaType.startsWith("text/")) return 0;
  return mediaType.startsWith("image/") ? imageTokens : attachmentTokens;
}
