import type { ChatUpstream, JsonObject, JsonValue } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";

export interface ContentReader {
  readonly settings: TranslationSettings;
  readonly upstream: ChatUpstream;
}

/** Turns Anthropic's user blocks, other than tool results, into chat content parts. */
export function contentParts(blocks: readonly JsonObject[], reader: ContentReader): JsonObject[] {
  const parts: JsonObject[] = [];
  for (const block of blocks) {
    const part = contentPart(block, reader);
    if (part === undefined) continue;
    if (reader.upstream.keepsCacheControl === true && isObject(block.cache_control)) {
      part.cache_control = block.cache_control;
    }
    parts.push(part);
  }
  return parts;
}

/** Chat content as short as it can be said: one plain text as a string. */
export function compactContent(parts: JsonObject[]): JsonValue {
  const plain = parts.every((part) => part.type === "text" && Object.keys(part).length === 2);
  return plain && parts.length === 1 ? textOf(parts[0]?.text) : parts;
}

/** Blocks of a message's content, a plain text as one block. */
export function blocksOf(content: JsonValue | undefined): JsonObject[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : objectsOf(content);
}

function contentPart(block: JsonObject, reader: ContentReader): JsonObject | undefined {
  switch (block.type) {
    case "text":
      return { type: "text", text: textOf(block.text) };
    case "image":
      return imagePart(objectOf(block.source), reader);
    case "document":
      return documentPart(block, reader);
    case "search_result":
      return { type: "text", text: searchResultText(block) };
    default:
      return refuse(reader, `content of type '${textOf(block.type)}'`);
  }
}

function imagePart(source: JsonObject, reader: ContentReader): JsonObject | undefined {
  if (source.type === "url") return { type: "image_url", image_url: { url: textOf(source.url) } };
  if (source.type === "base64") return { type: "image_url", image_url: { url: dataUrl(source) } };
  return refuse(reader, `an image from a source of type '${textOf(source.type)}'`);
}

function documentPart(block: JsonObject, reader: ContentReader): JsonObject | undefined {
  const source = objectOf(block.source);
  const name = textOf(block.title) || "document.pdf";
  switch (source.type) {
    case "base64":
      return { type: "file", file: { filename: name, file_data: dataUrl(source) } };
    case "text":
      return { type: "text", text: textOf(source.data) };
    case "content":
      return { type: "text", text: plainText(blocksOf(source.content)) };
    default:
      return refuse(reader, `a document from a source of type '${textOf(source.type)}'`);
  }
}

function dataUrl(source: JsonObject): string {
  return `data:${textOf(source.media_type)};base64,${textOf(source.data)}`;
}

function searchResultText(block: JsonObject): string {
  const head = [textOf(block.title), textOf(block.source)].filter((text) => text !== "");
  return [...head, plainText(listOf(block.content).filter(isObject))].join("\n");
}

/** The texts among blocks, one a line. */
export function plainText(blocks: readonly JsonObject[]): string {
  return blocks
    .filter((block) => block.type === "text")
    .map((block) => textOf(block.text))
    .join("\n");
}

function refuse(reader: ContentReader, what: string): undefined {
  refuseOrDrop(reader.settings, "messages", `A chat completions upstream does not take ${what}.`);
  return undefined;
}
