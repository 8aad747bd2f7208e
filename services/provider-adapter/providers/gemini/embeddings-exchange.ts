import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import {
  countOf,
  decodeText,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import type { GeminiHost } from "./chat-exchange.ts";
import { brokenAnswer, errorInAnswer } from "./classify-error.ts";

/** Bytes of text for a token: AI Studio does not count what it embeds. */
const bytesPerToken = 4;
/** Members of an embeddings call that are translated, and hints that change nothing. */
const consumed = new Set(["model", "input", "dimensions", "encoding_format", "user", "task_type", "taskType", "title"]);

/** How the embeddings of a host look; AI Studio and Vertex AI differ. */
export interface EmbeddingsDialect {
  readonly method: string;
  /** Takes one text a call. */
  readonly single?: boolean;
  /** The body of the call for texts. */
  body(texts: readonly string[], options: EmbeddingOptions): JsonObject;
  /** The vectors of an answer; undefined where it has none. */
  vectors(answer: JsonObject): JsonValue[][] | undefined;
  /** The input tokens of an answer; undefined where it does not tell. */
  tokens(answer: JsonObject): number | undefined;
}

export interface EmbeddingOptions {
  readonly model: string;
  readonly dimensions: number | undefined;
  readonly taskType: string;
  readonly title: string;
}

/** `models/{model}:batchEmbedContents`, https://ai.google.dev/api/embeddings */
export const batchEmbedContents: EmbeddingsDialect = {
  method: "batchEmbedContents",
  body: (texts, { model, dimensions, taskType, title }) => ({
    requests: texts.map((text) => ({
      model: `models/${model}`,
      content: { parts: [{ text }] },
      ...(taskType === "" ? {} : { taskType }),
      ...(title === "" ? {} : { title }),
      ...(dimensions === undefined ? {} : { outputDimensionality: dimensions }),
    })),
  }),
  vectors: (answer) => vectorsOf(answer.embeddings),
  tokens: (answer) => countOf(objectOf(answer.usageMetadata).promptTokenCount),
};

/** `publishers/google/models/{model}:predict`, https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api */
const predictEmbeddings: EmbeddingsDialect = {
  method: "predict",
  body: (texts, { dimensions, taskType, title }) => ({
    instances: texts.map((content) => ({
      content,
      ...(taskType === "" ? {} : { task_type: taskType }),
      ...(title === "" ? {} : { title }),
    })),
    ...(dimensions === undefined ? {} : { parameters: { outputDimensionality: dimensions } }),
  }),
  vectors: (answer) => vectorsOf(objectsOf(answer.predictions).map(({ embeddings }) => objectOf(embeddings))),
  tokens: (answer) => {
    const statistics = objectsOf(answer.predictions).map(({ embeddings }) => objectOf(objectOf(embeddings).statistics));
    return statistics.length === 0
      ? undefined
      : statistics.reduce((sum, { token_count: count }) => sum + (countOf(count) ?? 0), 0);
  },
};

/**
 * `publishers/google/models/{model}:embedContent`, the only method of Gemini Embedding 2 at Vertex AI.
 * https://docs.cloud.google.com/dotnet/docs/reference/Google.Cloud.AIPlatform.V1/latest/Google.Cloud.AIPlatform.V1.EmbedContentRequest
 */
const embedContent: EmbeddingsDialect = {
  method: "embedContent",
  single: true,
  body: (texts, { dimensions, taskType, title }) => ({
    content: { parts: texts.map((text) => ({ text })) },
    ...(taskType === "" ? {} : { taskType }),
    ...(title === "" ? {} : { title }),
    ...(dimensions === undefined ? {} : { outputDimensionality: dimensions }),
  }),
  vectors: (answer) => vectorsOf([objectOf(answer.embedding)]),
  tokens: batchEmbedContents.tokens,
};

/** How Vertex AI embeds with a model. */
export function vertexEmbeddings(model: string): EmbeddingsDialect {
  return /(?:^|\/)gemini-embedding-2(?:-|$)/.test(model) ? embedContent : predictEmbeddings;
}

/** An embeddings call in OpenAI's shape. Texts alone can be embedded; token arrays are OpenAI's own vocabulary. */
export function createEmbeddingsExchange(call: ProviderCall, host: GeminiHost, dialect: EmbeddingsDialect): Exchange {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const asked: JsonObject = { ...call.defaultParams, ...client };
  const texts = inputTexts(asked.input);
  if (dialect.single === true && texts.length > 1) {
    throw gatewayError(Reason.INVALID_REQUEST, `${host.id} embeds one text a call with ${call.model}.`, {
      param: "input",
    });
  }
  refuseOthers(asked, call);
  const base64 = asked.encoding_format === "base64";
  const options: EmbeddingOptions = {
    model: call.model,
    dimensions: typeof asked.dimensions === "number" ? asked.dimensions : undefined,
    taskType: textOf(asked.task_type) || textOf(asked.taskType),
    title: textOf(asked.title),
  };
  let usage = usageOf(texts, undefined);
  return {
    request: host.request(call, dialect.method, dialect.body(texts, options)),
    decodeBody(body) {
      const answer = parseObject(decodeText(body));
      const error = answer === undefined ? undefined : errorInAnswer(host.id, answer);
      if (error !== undefined) throw upstreamError(error);
      const vectors = answer === undefined ? undefined : dialect.vectors(answer);
      if (answer === undefined || vectors?.length !== texts.length) {
        throw upstreamError(brokenAnswer(host.id, "answered without an embedding for every input"));
      }
      usage = usageOf(texts, dialect.tokens(answer));
      return Buffer.from(JSON.stringify(embeddingList(vectors, base64, call.model, Number(usage.inputTokens))));
    },
    decodeEvents: () => [],
    finish: () => {
      throw upstreamError(brokenAnswer(host.id, "answered a call for embeddings with a stream"));
    },
    outcome: () => ({ usage, finishReason: "", responseModel: call.model, responseId: "" }),
  };
}

function embeddingList(vectors: readonly JsonValue[][], base64: boolean, model: string, tokens: number): JsonObject {
  return {
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: base64 ? base64Vector(vector) : vector,
    })),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** OpenAI's base64: the numbers as 32-bit floats, little-endian. */
function base64Vector(vector: readonly JsonValue[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(numberOf(value), at * 4);
  return bytes.toString("base64");
}

function usageOf(texts: readonly string[], told: number | undefined): Usage {
  const estimate = texts.reduce((sum, text) => sum + Math.ceil(Buffer.byteLength(text) / bytesPerToken), 0);
  return create(UsageSchema, { inputTokens: BigInt(told ?? estimate), estimated: told === undefined });
}

function inputTexts(input: JsonValue | undefined): string[] {
  const texts = typeof input === "string" ? [input] : listOf(input);
  if (texts.length > 0 && texts.every((text) => typeof text === "string")) return texts;
  throw gatewayError(Reason.INVALID_REQUEST, "'input' has to be a text or a list of texts; Gemini takes no tokens.", {
    param: "input",
  });
}

function refuseOthers(asked: JsonObject, settings: TranslationSettings): void {
  for (const [name, value] of Object.entries(asked)) {
    if (consumed.has(name) || value === null) continue;
    refuseOrDrop(settings, name, `Gemini's embeddings do not support the parameter '${name}'.`);
  }
}

function vectorsOf(embeddings: JsonValue | undefined): JsonValue[][] | undefined {
  const vectors = objectsOf(embeddings).map(({ values }) => listOf(values));
  return vectors.length > 0 && vectors.every((vector) => vector.length > 0) ? vectors : undefined;
}
