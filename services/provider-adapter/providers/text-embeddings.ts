import { create } from "@bufbuild/protobuf";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall, UpstreamRequest } from "../provider.ts";
import { decodeText, isObject, listOf, numberOf, parseObject } from "../translate/json-reading.ts";
import { refuseOrDrop } from "../translate/unsupported-parameter.ts";
import { incompleteAnswer, parseAnswer } from "./json-answer.ts";
import { protocolError } from "./openai-compatible/answer.ts";

const bytesPerToken = 4;
const consumed: ReadonlySet<string> = new Set(["model", "input", "encoding_format", "user", "stream"]);

/** An embeddings call in OpenAI's shape, for a provider that embeds texts. */
export interface EmbeddingsRequest {
  readonly texts: readonly string[];
  /** The other parameters: `dimensions` under the provider's name, and what is no parameter of OpenAI's. */
  readonly params: JsonObject;
  /** The vectors have to be base64. */
  readonly base64: boolean;
}

/** The vectors of an answer, in the order of the texts; undefined where it has none. */
export interface Vectors {
  readonly vectors: readonly JsonValue[][];
  /** The tokens that were read; undefined where the provider does not tell. */
  readonly tokens?: number;
}

/**
 * Reads an embeddings call. `dimensions`: the provider's name for the length of a vector, empty where it has none. Throws a
 * GatewayError for lists of tokens, which are OpenAI's own vocabulary.
 */
export function readEmbeddingsRequest(call: ProviderCall, provider: string, dimensions: string): EmbeddingsRequest {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const asked: JsonObject = { ...call.defaultParams, ...client };
  const input = Array.isArray(asked.input) ? asked.input : [asked.input];
  const texts = input.filter((text) => typeof text === "string");
  if (texts.length !== input.length || texts.length === 0) {
    throw gatewayError(Reason.INVALID_REQUEST, `${provider} embeds texts, not lists of tokens.`, { param: "input" });
  }
  const params: JsonObject = {};
  for (const [name, value] of Object.entries(asked)) {
    if (consumed.has(name) || value === null) continue;
    const renamed = name === "dimensions" && !call.allowedParams.includes(name) ? dimensions : name;
    if (renamed !== "") params[renamed] = value;
    else refuseOrDrop(call, name, `${provider} does not support the parameter '${name}'.`);
  }
  return { texts, params, base64: asked.encoding_format === "base64" };
}

/** An embeddings call whose answer `read` understands. */
export function createTextEmbeddings(
  call: ProviderCall,
  provider: string,
  { texts, base64 }: EmbeddingsRequest,
  request: UpstreamRequest,
  read: (answer: JsonValue) => Vectors | undefined,
): Exchange {
  let usage = usageOf(texts, undefined);
  return {
    request,
    decodeBody(body) {
      const answer = parseAnswer(provider, body);
      const found = read(answer);
      if (found?.vectors.length !== texts.length || found.vectors.some((vector) => vector.length === 0)) {
        throw incompleteAnswer(provider, answer, "the answer has no embedding for every input");
      }
      usage = usageOf(texts, found.tokens);
      const data = found.vectors.map((vector, index) => ({
        object: "embedding",
        index,
        embedding: base64 ? base64Vector(vector) : vector,
      }));
      const tokens = Number(usage.inputTokens);
      const told = { prompt_tokens: tokens, total_tokens: tokens };
      return Buffer.from(JSON.stringify({ object: "list", data, model: call.model, usage: told }));
    },
    decodeEvents: () => [],
    finish: () => {
      throw protocolError(provider, "it answered a call for embeddings with a stream");
    },
    outcome: () => ({ usage, finishReason: "", responseModel: call.model, responseId: "" }),
  };
}

/** The vectors that lie in one member of each item of a list. */
export function vectorsIn(items: JsonValue | undefined, member: string): JsonValue[][] {
  return listOf(items).map((item) => (isObject(item) ? listOf(item[member]) : []));
}

function usageOf(texts: readonly string[], told: number | undefined): Usage {
  const estimate = texts.reduce((sum, text) => sum + Math.ceil(Buffer.byteLength(text) / bytesPerToken), 0);
  return create(UsageSchema, { inputTokens: BigInt(told ?? estimate), estimated: told === undefined });
}

/** OpenAI's base64: the numbers as 32-bit floats, little-endian. */
function base64Vector(vector: readonly JsonValue[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(numberOf(value), at * 4);
  return bytes.toString("base64");
}
