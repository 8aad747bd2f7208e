import { Operation, type Shape, ShapeSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { invalidRequest, isObject, type JsonObject } from "./body-json.ts";
import { estimateTokens } from "./token-estimate.ts";

const maxUint32 = 0xffff_ffff;
/** Vectors and ranks are no tokens. */
const withoutOutput: ReadonlySet<Operation> = new Set([
  Operation.EMBEDDINGS,
  Operation.RERANK,
  Operation.EMBED_CONTENT,
]);

/** Members that become input tokens, of all dialects. */
const inputNames: ReadonlySet<string> = new Set([
  "messages",
  "contents",
  "system",
  "systemInstruction",
  "system_instruction",
  "generationConfig",
  "generation_config",
  "instructions",
  "input",
  "prompt",
  "suffix",
  "tools",
  "functions",
  "response_format",
  "text",
  "prediction",
]);

/**
 * The names of the output limit, by dialect; the largest counts where a client sets several. Of another dialect's name
 * nobody knows whether a provider heeds it, so it bounds nothing.
 */
function outputLimitNames(operation: Operation): readonly string[] {
  if (operation === Operation.CHAT_COMPLETIONS) return ["max_tokens", "max_completion_tokens"];
  if (operation === Operation.GENERATE_CONTENT) return ["maxOutputTokens", "max_output_tokens"];
  return operation === Operation.RESPONSES ? ["max_output_tokens"] : ["max_tokens"];
}

/**
 * Checks what the mesh itself needs of a body and reads what admission needs to know. Everything else is the provider's
 * business. Throws a GatewayError that names the field.
 */
export function readShape(operation: Operation, given: JsonObject): Shape {
  const body = operation === Operation.GENERATE_CONTENT ? googleRequest(given) : given;
  checkInput(operation, body);
  const shape: Shape = {
    $typeName: ShapeSchema.typeName,
    inputTokens: Math.min(inputTokens(operation, body), maxUint32),
    choices: readChoices(operation, body),
    searchUnits: operation === Operation.RERANK ? searchUnits(body) : 0,
  };
  const limit = readOutputLimit(operation, body);
  if (limit !== undefined) shape.maxOutputTokens = limit;
  return shape;
}

/** The request itself where a client wraps it to have its tokens counted. https://ai.google.dev/api/tokens */
function googleRequest(body: JsonObject): JsonObject {
  const wrapped = body.generateContentRequest ?? body.generate_content_request;
  return isObject(wrapped) ? wrapped : body;
}

/** Google takes its names in snake_case too. */
function googleConfig(body: JsonObject): JsonObject {
  const { generationConfig, generation_config: other } = body;
  const config = generationConfig ?? other ?? {};
  // Nobody knows which of the two a provider would heed.
  const isTwice = isObject(generationConfig) && isObject(other);
  if (isTwice) throw invalidRequest("'generationConfig' is there in two spellings.", "generationConfig");
  if (!isObject(config)) throw invalidRequest("'generationConfig' must be an object.", "generationConfig");
  return config;
}

function inputTokens(operation: Operation, body: JsonObject): number {
  if (operation === Operation.RERANK) return rerankTokens(body);
  if (operation === Operation.EMBED_CONTENT) return estimateTokens(body.requests ?? body.content);
  let tokens = 0;
  for (const name in body) if (inputNames.has(name)) tokens += estimateTokens(body[name]);
  return tokens;
}

/** Rerankers that charge by the token read the query with every document. */
function rerankTokens({ query, documents }: JsonObject): number {
  const count = Array.isArray(documents) ? documents.length : 1;
  return estimateTokens(query) * count + estimateTokens(documents);
}

/** Cohere's unit, https://cohere.com/pricing: a search over up to 100 documents. */
function searchUnits({ documents }: JsonObject): number {
  return Array.isArray(documents) ? Math.max(1, Math.ceil(documents.length / 100)) : 1;
}

function checkInput(operation: Operation, body: JsonObject): void {
  switch (operation) {
    case Operation.CHAT_COMPLETIONS:
    case Operation.MESSAGES:
      checkMessages(body.messages);
      break;
    case Operation.GENERATE_CONTENT:
      checkContents(body.contents);
      break;
    case Operation.EMBEDDINGS:
      checkPresent(body, "input");
      break;
    case Operation.EMBED_CONTENT:
      checkEmbedContent(body);
      break;
    case Operation.RERANK:
      checkRerank(body);
      break;
    case Operation.COMPLETIONS:
      checkPresent(body, "prompt");
      break;
    case Operation.RESPONSES:
      if (!isObject(body.prompt)) checkPresent(body, "input");
      // What a background answer uses is known long after the call; nobody could charge it.
      if (body.background === true) throw invalidRequest("'background' is not supported.", "background");
      break;
  }
}

/** An empty list is the provider's to refuse, and an empty text to embed is one it takes. */
function checkMessages(messages: unknown): void {
  if (messages === undefined || messages === null) throw invalidRequest("'messages' is a required field.", "messages");
  if (!Array.isArray(messages)) throw invalidRequest("'messages' must be an array.", "messages");
  const wrong = messages.findIndex((message) => !isObject(message));
  if (wrong >= 0) throw invalidRequest(`'messages[${wrong}]' must be an object.`, `messages[${wrong}]`);
}

function checkContents(contents: unknown): void {
  if (contents === undefined || contents === null) throw invalidRequest("'contents' is a required field.", "contents");
  const list = Array.isArray(contents) ? contents : [contents];
  const wrong = list.findIndex((content) => !isObject(content));
  if (wrong >= 0) throw invalidRequest(`'contents[${wrong}]' must be an object.`, `contents[${wrong}]`);
}

/** One request, or a list of them. */
function checkEmbedContent({ content, requests }: JsonObject): void {
  const list = Array.isArray(requests) ? requests : [{ content }];
  const wrong = list.findIndex((request) => !isObject(request) || !isObject(request.content));
  if (wrong < 0) return;
  const name = Array.isArray(requests) ? `requests[${wrong}].content` : "content";
  throw invalidRequest(`'${name}' must be an object.`, name);
}

function checkPresent(body: JsonObject, name: string): void {
  const value = body[name];
  if (value === undefined || value === null) throw invalidRequest(`'${name}' is a required field.`, name);
  if (typeof value !== "string" && !Array.isArray(value)) {
    throw invalidRequest(`'${name}' must be a string or an array.`, name);
  }
}

/** A query may be an image at some providers, and an empty list is theirs to refuse. */
function checkRerank({ query, documents }: JsonObject): void {
  for (const [name, value] of Object.entries({ query, documents })) {
    if (value === undefined || value === null) throw invalidRequest(`'${name}' is a required field.`, name);
  }
  if (!Array.isArray(documents)) throw invalidRequest("'documents' must be an array.", "documents");
}

/** `n` and `best_of` multiply the output, and so does a list of prompts. */
function readChoices(operation: Operation, body: JsonObject): number {
  if (operation === Operation.GENERATE_CONTENT) {
    const config = googleConfig(body);
    return Math.max(readCount(config, "candidateCount") ?? 1, readCount(config, "candidate_count") ?? 1, 1);
  }
  const choices = Math.max(readCount(body, "n") ?? 1, readCount(body, "best_of") ?? 1, 1);
  if (operation !== Operation.COMPLETIONS) return choices;
  const { prompt } = body;
  const isList = Array.isArray(prompt) && typeof prompt[0] !== "number";
  return Math.min(isList ? choices * Math.max(1, prompt.length) : choices, maxUint32);
}

function readOutputLimit(operation: Operation, body: JsonObject): number | undefined {
  if (withoutOutput.has(operation)) return 0;
  let limit: number | undefined;
  // Servers take a negative limit as none, and some zero too; legacy completions use zero to score a prompt.
  const least = operation === Operation.COMPLETIONS ? 0 : 1;
  const from = operation === Operation.GENERATE_CONTENT ? googleConfig(body) : body;
  for (const name of outputLimitNames(operation)) {
    const value = readCount(from, name);
    if (value !== undefined && value >= least) limit = Math.max(limit ?? 0, value);
  }
  return limit;
}

function readCount(body: JsonObject, name: string): number | undefined {
  const value = body[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value > maxUint32) {
    throw invalidRequest(`'${name}' must be a whole number.`, name);
  }
  return value;
}
