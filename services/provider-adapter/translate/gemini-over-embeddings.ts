import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../provider.ts";
import { namedAsWritten } from "./gemini-to-chat/param-names.ts";
import { decodeText, isObject, listOf, numberOf, objectOf, objectsOf, parseObject, textOf } from "./json-reading.ts";
import { refuseOrDrop } from "./unsupported-parameter.ts";

/** What embeds underneath. */
export interface EmbeddingsProvider {
  /** Its id, for errors. */
  readonly id: string;
  /** Whether it takes Google's `task_type` and `title` beside OpenAI's parameters. */
  readonly takesTask: boolean;
  /** Begins a call of EMBEDDINGS. */
  begin(call: ProviderCall): Exchange;
}

/** A call of EMBED_CONTENT as one of EMBEDDINGS, and how the answer to that is told. */
export interface EmbeddingsCall {
  readonly call: ProviderCall;
  /** Turns OpenAI's answer into Google's. Throws the error of `upstreamError` where it is none. */
  tell(answer: Uint8Array): Uint8Array;
}

/**
 * Google's `embedContent` and `batchEmbedContents`, https://ai.google.dev/api/embeddings, over a provider that embeds in
 * OpenAI's words.
 */
export function createEmbedContentOverEmbeddings(call: ProviderCall, provider: EmbeddingsProvider): Exchange {
  const { call: inner, tell } = embedContentAsEmbeddings(call, provider);
  const exchange = namedAsWritten(() => provider.begin(inner));
  const { several } = exchange;
  return {
    request: exchange.request,
    ...(several === undefined
      ? {}
      : { several: { requests: several.requests, decode: (answers) => tell(several.decode(answers)) } }),
    ...(exchange.followUp === undefined ? {} : { followUp: (body) => exchange.followUp?.(body) }),
    ...(exchange.abandon === undefined ? {} : { abandon: () => exchange.abandon?.() }),
    decodeBody: (body, headers) => tell(exchange.decodeBody(body, headers)),
    decodeEvents: (events) => exchange.decodeEvents(events),
    finish: () => exchange.finish(),
    outcome: () => exchange.outcome(),
  };
}

/** Throws INVALID_REQUEST where the body is no request for embeddings of texts. */
export function embedContentAsEmbeddings(
  call: ProviderCall,
  { id, takesTask }: Pick<EmbeddingsProvider, "id" | "takesTask">,
): EmbeddingsCall {
  const body = parseObject(decodeText(call.body));
  if (body === undefined) throw invalid("The body has to be a JSON object.", "");
  const requests = isBatch(body) ? objectsOf(body.requests) : [body];
  if (requests.length === 0) throw invalid("'requests' holds nothing to embed.", "requests");
  const embeddings: JsonObject = { model: call.model, input: requests.map(textToEmbed) };
  const dimensions = oneOf(requests, "outputDimensionality", "output_dimensionality");
  if (dimensions !== undefined) embeddings.dimensions = dimensions;
  for (const [name, other] of [
    ["taskType", "task_type"],
    ["title", "title"],
  ] as const) {
    const value = oneOf(requests, name, other);
    if (value === undefined) continue;
    if (takesTask) embeddings[other] = value;
    else refuseOrDrop(call, name, `${id} does not support the parameter '${name}'.`);
  }
  return {
    call: { ...call, operation: Operation.EMBEDDINGS, body: Buffer.from(JSON.stringify(embeddings)) },
    tell: (answer) => told(answer, isBatch(body), id),
  };
}

/** Whether a request is one of `batchEmbedContents`. */
export function isBatch(body: JsonObject): boolean {
  return Array.isArray(body.requests);
}

/** The text of a request. */
export function textToEmbed(request: JsonObject): string {
  const parts = listOf(objectOf(request.content).parts);
  const texts = parts.map((part) => objectOf(part).text);
  if (texts.length > 0 && texts.every((text) => typeof text === "string")) return texts.join("\n");
  throw invalid("'content' has to have parts of text: nothing else can be embedded here.", "content");
}

/** A parameter of all requests: OpenAI's embeddings have it once. */
function oneOf(requests: readonly JsonObject[], name: string, snake: string): JsonValue | undefined {
  const values = requests.map((request) => {
    const config = objectOf(request.embedContentConfig);
    return request[name] ?? request[snake] ?? config[name] ?? undefined;
  });
  const [first] = values;
  if (values.every((value) => value === first)) return first;
  throw invalid(`'${name}' has to be the same in all requests.`, name);
}

function told(answer: Uint8Array, batch: boolean, provider: string): Uint8Array {
  const list = parseObject(decodeText(answer));
  const data = objectsOf(list?.data).sort((a, b) => numberOf(a.index) - numberOf(b.index));
  const embeddings = data.map(({ embedding }) => ({ values: vectorOf(embedding) }));
  const [first] = embeddings;
  if (list === undefined || first === undefined || embeddings.some(({ values }) => values.length === 0)) {
    throw upstreamError({
      kind: UpstreamErrorKind.BAD_GATEWAY,
      httpStatus: 502,
      provider,
      retryable: true,
      message: `The provider ${provider} answered with something that is no list of embeddings`,
    });
  }
  const usage = isObject(list.usage) ? { usageMetadata: { promptTokenCount: numberOf(list.usage.prompt_tokens) } } : {};
  return Buffer.from(JSON.stringify({ ...(batch ? { embeddings } : { embedding: first }), ...usage }));
}

/** Numbers as they are, or OpenAI's base64: 32-bit floats, little-endian. */
function vectorOf(embedding: JsonValue | undefined): JsonValue[] {
  if (Array.isArray(embedding)) return embedding;
  const bytes = Buffer.from(textOf(embedding), "base64");
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, at) => bytes.readFloatLE(at * 4));
}

function invalid(message: string, param: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param });
}
