import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall, UpstreamRequest, WholeAnswer } from "../provider.ts";
import { decodeText, numberOf, parseObject, without } from "../translate/json-reading.ts";
import { malformed } from "./malformed.ts";

/** What was asked of an embeddings call. */
export interface EmbeddingsAsked {
  readonly inputs: readonly string[];
  /** Undefined leaves the length of the vectors to the model. */
  readonly dimensions: JsonValue | undefined;
  /** What is no parameter of OpenAI's: it passes. */
  readonly passed: JsonObject;
  readonly base64: boolean;
}

/** How a model embeds. */
export interface EmbeddingsModel {
  /** The most inputs of one request. */
  readonly batch: number;
  request(inputs: readonly string[]): UpstreamRequest;
  /** The vectors of an answer in the order of its inputs, and the tokens that were read, where it tells. */
  read(answer: JsonObject, whole: WholeAnswer): { readonly vectors: readonly JsonValue[][]; readonly tokens?: number };
}

/** OpenAI's own limit. */
const maxInputs = 2048;
const bytesPerToken = 4;

/** Reads an embeddings call. Throws INVALID_REQUEST for lists of tokens, which are OpenAI's own vocabulary. */
export function readEmbeddings(call: ProviderCall, provider: string): EmbeddingsAsked {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const asked: JsonObject = { ...call.defaultParams, ...client };
  const list = Array.isArray(asked.input) ? asked.input : [asked.input];
  const inputs = list.filter((input) => typeof input === "string");
  const problem =
    inputs.length !== list.length || inputs.length === 0
      ? `${provider} embeds texts, not lists of tokens.`
      : inputs.length > maxInputs && `One call embeds ${maxInputs} inputs at most.`;
  if (problem !== false) throw gatewayError(Reason.INVALID_REQUEST, problem, { param: "input" });
  return {
    inputs,
    dimensions: asked.dimensions ?? undefined,
    passed: without(asked, "input", "model", "user", "stream", "encoding_format", "dimensions"),
    base64: asked.encoding_format === "base64",
  };
}

/** An embeddings call in OpenAI's shape; one with more inputs than a request takes is several requests. */
export function createAwsEmbeddings(
  call: ProviderCall,
  provider: string,
  asked: EmbeddingsAsked,
  model: EmbeddingsModel,
): Exchange {
  const batches: (readonly string[])[] = [];
  for (let at = 0; at < asked.inputs.length; at += model.batch) batches.push(asked.inputs.slice(at, at + model.batch));
  const requests = batches.map((inputs) => model.request(inputs));
  const [request] = requests;
  if (request === undefined) throw gatewayError(Reason.INVALID_REQUEST, "There is no input.", { param: "input" });
  let usage = estimate(asked.inputs);
  const decode = (answers: readonly WholeAnswer[]): Uint8Array => {
    const read = answers.map((answer, index) => {
      const parsed = parseObject(decodeText(answer.body));
      const found = parsed === undefined ? undefined : model.read(parsed, answer);
      const complete = found?.vectors.length === batches[index]?.length && found?.vectors.every((v) => v.length > 0);
      if (found === undefined || !complete) {
        throw upstreamError(malformed(provider, "the answer has no embedding for every input"));
      }
      return found;
    });
    if (read.every(({ tokens }) => tokens !== undefined)) {
      const tokens = read.reduce((sum, part) => sum + (part.tokens ?? 0), 0);
      usage = create(UsageSchema, { inputTokens: BigInt(tokens) });
    }
    const vectors = read.flatMap((part) => part.vectors);
    return Buffer.from(JSON.stringify(embeddingList(vectors, asked.base64, call.model, Number(usage.inputTokens))));
  };
  return {
    request,
    ...(requests.length > 1 ? { several: { requests, decode } } : {}),
    decodeBody: (body, headers = {}) => decode([{ body, headers }]),
    decodeEvents: () => [],
    finish: () => {
      throw upstreamError(malformed(provider, "it answered a call for embeddings with a stream"));
    },
    outcome: () => ({ usage, finishReason: "", responseModel: call.model, responseId: "" }),
  };
}

function estimate(inputs: readonly string[]): Usage {
  const tokens = inputs.reduce((sum, text) => sum + Math.ceil(Buffer.byteLength(text) / bytesPerToken), 0);
  return create(UsageSchema, { inputTokens: BigInt(tokens), estimated: true });
}

function embeddingList(vectors: readonly JsonValue[][], base64: boolean, model: string, tokens: number): JsonObject {
  const data = vectors.map((vector, index) => {
    const embedding = base64 ? Buffer.from(Float32Array.from(vector, numberOf).buffer).toString("base64") : vector;
    return { object: "embedding", index, embedding };
  });
  return { object: "list", data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}
