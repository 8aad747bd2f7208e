import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { BedrockModel } from "./bedrock-model.ts";

/** Bedrock's words for media types; of every other type, what stands behind the slash. */
const formats: Readonly<Record<string, string>> = {
  "image/jpg": "jpeg",
  "text/plain": "txt",
  "text/markdown": "md",
  "application/msword": "doc",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.ms-excel": "xls",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
};

const maxToolId = 64;

/**
 * Turns Anthropic's content blocks, which chat messages are turned into as well, into Converse's. One is made per request:
 * the names of its documents have to differ. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
 *
 * Texts of nothing but white space are left out, because Bedrock refuses them. A `cache_control` mark becomes a cache
 * point behind its block, where the model takes one; it is a hint and left out elsewhere. Addresses other than S3's are
 * refused: Bedrock fetches nothing.
 */
export class ConverseContent {
  readonly #model: BedrockModel;
  readonly #documentNames = new Set<string>();

  constructor(model: BedrockModel) {
    this.#model = model;
  }

  /**
   * The messages of a request; consecutive ones of one role become one, because Bedrock wants the roles to alternate. A
   * system message in the middle keeps its place as the user's: Bedrock has no other role.
   */
  messages(messages: JsonValue | undefined): JsonObject[] {
    const turns: { role: string; content: JsonObject[] }[] = [];
    for (const message of objectsOf(messages)) {
      const role = message.role === "assistant" ? "assistant" : "user";
      const content = this.blocks(message.content);
      const last = turns.at(-1);
      if (last?.role === role) last.content.push(...content);
      else if (content.length > 0) turns.push({ role, content });
    }
    for (const { content } of turns) explainDocuments(content);
    return turns;
  }

  /** A content, plain text or blocks. */
  blocks(content: JsonValue | undefined): JsonObject[] {
    if (typeof content === "string") return textBlocks(content);
    return objectsOf(content).flatMap((block) => [...this.#block(block), ...this.#cachePoint(block)]);
  }

  #cachePoint(block: JsonObject): JsonObject[] {
    return this.#model.cachePoints.content ? cachePoint(block) : [];
  }

  #block(block: JsonObject): JsonObject[] {
    switch (block.type) {
      case "text":
        return textBlocks(textOf(block.text));
      case "guarded_text":
        return [{ guardContent: { text: { text: textOf(block.text) } } }];
      case "image":
        return [{ image: image(objectOf(block.source)) }];
      case "document":
        return [{ document: this.#document(block) }];
      case "search_result":
        return [searchResult(block)];
      case "thinking":
        return [{ reasoningContent: { reasoningText: reasoningText(block) } }];
      case "redacted_thinking":
        return [{ reasoningContent: { redactedContent: textOf(block.data) } }];
      case "tool_use":
      case "server_tool_use":
        return [toolUse(block)];
      case "tool_result":
        return [this.#toolResult(block)];
      default:
        return [passedBlock(block)];
    }
  }

  #document(block: JsonObject): JsonObject {
    const source = objectOf(block.source);
    const document: JsonObject = { ...sourceOf(source, "document"), name: this.#documentName(textOf(block.title)) };
    if (objectOf(block.citations).enabled === true) document.citations = { enabled: true };
    if (typeof block.context === "string") document.context = block.context;
    return document;
  }

  /** Letters, digits, single spaces, hyphens, parentheses and brackets are allowed. */
  #documentName(title: string): string {
    const plain = title.replace(/\.[a-z]{2,4}$/i, "").replace(/[^a-zA-Z0-9\s\-()[\]]+/g, "-");
    const base = plain.replace(/\s+/g, " ").trim().slice(0, 190) || "document";
    let name = base;
    for (let copy = 2; this.#documentNames.has(name); copy += 1) name = `${base} (${copy})`;
    this.#documentNames.add(name);
    return name;
  }

  #toolResult(block: JsonObject): JsonObject {
    const content = typeof block.content === "string" ? resultText(block.content) : this.#resultBlocks(block.content);
    const toolResult: JsonObject = { toolUseId: toolId(block.tool_use_id), content };
    if (block.is_error === true) toolResult.status = "error";
    return { toolResult };
  }

  /** A tool's result holds no cache points; a text without visible letters stands for an empty one. */
  #resultBlocks(content: JsonValue | undefined): JsonObject[] {
    const blocks = objectsOf(content).flatMap((block) => this.#block(block));
    return blocks.length > 0 ? blocks : resultText("");
  }
}

/** Bedrock refuses a message that holds a document and no text. */
function explainDocuments(content: JsonObject[]): void {
  const first = content.findIndex((block) => isObject(block.document));
  if (first < 0 || content.some((block) => "text" in block)) return;
  content.splice(first, 0, { text: "See the attached document." });
}

/** What Bedrock refuses to be blank is said in words. */
function resultText(text: string): JsonObject[] {
  return [{ text: text.trim() === "" ? "(no output)" : text }];
}

function textBlocks(text: string): JsonObject[] {
  return text.trim() === "" ? [] : [{ text }];
}

/** The cache point of a block's mark. Five minutes is what a point without `ttl` lasts. */
export function cachePoint(block: JsonObject): JsonObject[] {
  if (!isObject(block.cache_control)) return [];
  const point: JsonObject = { type: "default" };
  if (block.cache_control.ttl === "1h") point.ttl = "1h";
  return [{ cachePoint: point }];
}

/** The id of a call as Bedrock allows it: letters, digits, `_` and `-`, 64 at most. */
function toolId(id: JsonValue | undefined): string {
  return textOf(id)
    .replace(/[^a-zA-Z0-9_-]/g, "_")
    .slice(0, maxToolId);
}

function toolUse(block: JsonObject): JsonObject {
  const use: JsonObject = { toolUseId: toolId(block.id), name: textOf(block.name), input: objectOf(block.input) };
  return { toolUse: block.type === "server_tool_use" ? { ...use, type: "server_tool_use" } : use };
}

function reasoningText(block: JsonObject): JsonObject {
  const text: JsonObject = { text: textOf(block.thinking) };
  if (textOf(block.signature) !== "") text.signature = textOf(block.signature);
  return text;
}

function searchResult(block: JsonObject): JsonObject {
  const content = objectsOf(block.content).map((part) => ({ text: textOf(part.text) }));
  const result: JsonObject = { source: textOf(block.source), title: textOf(block.title), content };
  if (objectOf(block.citations).enabled === true) result.citations = { enabled: true };
  return { searchResult: result };
}

/** The result of a tool that Bedrock ran itself, or a block that the client wrote in Converse's own words. */
function passedBlock(block: JsonObject): JsonObject {
  const { type, tool_use_id: id, cache_control: _, ...own } = block;
  if (typeof id === "string") return { toolResult: { toolUseId: toolId(id), type: type ?? "", ...own } };
  const [only, second] = Object.keys(own);
  if (
    only !== undefined &&
    second === undefined &&
    isObject(own[only]) &&
    /^[a-z]+[A-Z]|^(?:video|audio)$/.test(only)
  ) {
    return own;
  }
  throw invalidContent(`Bedrock takes no content of type '${textOf(type)}'.`);
}

function image(source: JsonObject): JsonObject {
  return sourceOf(source, "image");
}

/** `format` and `source` of an image or document. */
function sourceOf(source: JsonObject, what: string): JsonObject {
  const data = textOf(source.data);
  const type = textOf(source.media_type);
  if (source.type === "text") return { format: "txt", source: { bytes: Buffer.from(data).toString("base64") } };
  if (source.type === "content") return { format: "txt", source: { bytes: contentBytes(source.content) } };
  const address = source.type === "url" ? textOf(source.url) : data;
  if (address.startsWith("s3://")) {
    return { format: formatOf(address.split(".").at(-1) ?? ""), source: { s3Location: { uri: address } } };
  }
  if (source.type !== "base64") {
    throw invalidContent(`Bedrock takes ${what}s as base64 data or as an s3:// address, not by another address.`);
  }
  return { format: formatOf(formats[type] ?? type.split("/")[1] ?? ""), source: { bytes: data } };
}

function formatOf(extension: string): string {
  return extension === "jpg" ? "jpeg" : extension;
}

function contentBytes(content: JsonValue | undefined): string {
  const texts = typeof content === "string" ? [content] : listOf(content).map((part) => textOf(objectOf(part).text));
  return Buffer.from(texts.join("\n")).toString("base64");
}

function invalidContent(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "messages" });
}
