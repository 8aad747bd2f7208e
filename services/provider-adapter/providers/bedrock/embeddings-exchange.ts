import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { defined } from "../../translate/chat-over-text/request.ts";
import { countOf, isObject, listOf, objectOf, objectsOf, textOf, without } from "../../translate/json-reading.ts";
import { refuseOrDrop } from "../../translate/unsupported-parameter.ts";
import { createAwsEmbeddings, type EmbeddingsAsked, readEmbeddings } from "../aws-embeddings.ts";
import { type BedrockModel, bedrockModel } from "./bedrock-model.ts";
import { providerId } from "./classify-error.ts";
import { headerCount } from "./text-exchange.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** How a family embeds over Invoke. */
interface EmbeddingFormat {
  readonly models: RegExp;
  /** The most inputs of one request. */
  readonly batch: number;
  /** Whether the length of the vectors can be chosen. */
  readonly sizes: boolean;
  body(inputs: readonly string[], asked: EmbeddingsAsked): JsonObject;
  vectors(answer: JsonObject): JsonValue[][];
}

const dataUrl = /^data:(image\/[\w.+-]+);base64,(.+)$/s;

const formats: readonly EmbeddingFormat[] = [
  {
    // https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html
    models: /\bamazon\.titan-embed-(?:image|g1-image)/,
    batch: 1,
    sizes: true,
    body([input = ""], { dimensions, passed }) {
      const image = dataUrl.exec(input)?.[2];
      const config = { ...objectOf(passed.embeddingConfig), ...defined({ outputEmbeddingLength: dimensions }) };
      const body: JsonObject = { ...passed, ...(image === undefined ? { inputText: input } : { inputImage: image }) };
      return Object.keys(config).length > 0 ? { ...body, embeddingConfig: config } : body;
    },
    vectors: titanVectors,
  },
  {
    // https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
    models: /\bamazon\.titan-embed-text-v2/,
    batch: 1,
    sizes: true,
    body: ([input = ""], { dimensions, passed }) => ({ inputText: input, ...passed, ...defined({ dimensions }) }),
    vectors: titanVectors,
  },
  {
    models: /\bamazon\.titan-(?:embed|e1t)/,
    batch: 1,
    sizes: false,
    body: ([input = ""], { passed }) => ({ inputText: input, ...passed }),
    vectors: titanVectors,
  },
  {
    // https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html
    models: /\bamazon\.nova-.*embeddings/,
    batch: 1,
    sizes: true,
    body: novaBody,
    vectors: (answer) => objectsOf(answer.embeddings).map(({ embedding }) => listOf(embedding)),
  },
  {
    // https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
    models: /\bcohere\.embed/,
    batch: 96,
    sizes: true,
    body: cohereBody,
    vectors: cohereVectors,
  },
];

/**
 * An embeddings call of a model of Amazon's or Cohere's. Titan and Nova embed one input a request, so that several inputs
 * are several requests.
 */
export function createEmbeddingsExchange(call: ProviderCall): Exchange {
  const model = bedrockModel(call.model);
  const format = formats.find(({ models }) => models.test(model.id));
  if (format === undefined) {
    throw gatewayError(Reason.OPERATION_UNSUPPORTED, `${model.id} is no model of Bedrock's that embeds.`, {
      param: "model",
    });
  }
  const asked = readEmbeddings(call, "Bedrock");
  const sized = withoutSize(asked, format, model, call);
  return createAwsEmbeddings({ ...call, model: model.id }, providerId, asked, {
    batch: format.batch,
    request: (inputs) =>
      upstreamRequest(call, model, "invoke", Buffer.from(JSON.stringify(format.body(inputs, sized)))),
    read: (answer, { headers }) => ({
      vectors: format.vectors(answer),
      ...definedTokens(countOf(answer.inputTextTokenCount) ?? headerCount(headers, "input")),
    }),
  });
}

function definedTokens(tokens: number | undefined): { readonly tokens?: number } {
  return tokens === undefined ? {} : { tokens };
}

/** Embeddings v3 and Titan v1 have one size. */
function withoutSize(
  asked: EmbeddingsAsked,
  format: EmbeddingFormat,
  { id }: BedrockModel,
  call: ProviderCall,
): EmbeddingsAsked {
  if (asked.dimensions === undefined || (format.sizes && !/embed-\w+-v3/.test(id))) return asked;
  refuseOrDrop(call, "dimensions", `The vectors of ${id} have one size.`);
  return { ...asked, dimensions: undefined };
}

/** With `embeddingTypes` the vectors stand by their type. */
function titanVectors(answer: JsonObject): JsonValue[][] {
  const byType = objectOf(answer.embeddingsByType);
  const vector = listOf(answer.embedding ?? byType.float ?? byType.binary);
  return vector.length > 0 ? [vector] : [];
}

function novaBody([input = ""]: readonly string[], { dimensions, passed }: EmbeddingsAsked): JsonObject {
  const [, type, source] = dataUrl.exec(input) ?? [];
  const own: JsonObject = { embeddingPurpose: "GENERIC_INDEX", ...without(passed, "embeddingConfig") };
  const content: JsonObject =
    type === undefined || source === undefined
      ? { text: { truncationMode: "END", value: input } }
      : { image: { format: type.slice("image/".length), source: { bytes: source } } };
  const params = { ...own, ...defined({ embeddingDimension: dimensions }), ...content };
  return { taskType: "SINGLE_EMBEDDING", singleEmbeddingParams: params };
}

function cohereBody(inputs: readonly string[], { dimensions, passed }: EmbeddingsAsked): JsonObject {
  const images = inputs.filter((input) => dataUrl.test(input));
  if (images.length > 0 && images.length < inputs.length) {
    throw gatewayError(Reason.INVALID_REQUEST, "Cohere embeds either texts or images in one call.", { param: "input" });
  }
  const isImage = images.length > 0;
  return {
    input_type: textOf(passed.input_type) || (isImage ? "image" : "search_document"),
    embedding_types: ["float"],
    ...without(passed, "input_type", "embedding_types"),
    [isImage ? "images" : "texts"]: [...inputs],
    ...defined({ output_dimension: dimensions }),
  };
}

/** A list, or one by type where types were asked for. Bedrock has been seen to answer in OpenAI's shape too. */
function cohereVectors(answer: JsonObject): JsonValue[][] {
  const { embeddings } = answer;
  if (Array.isArray(answer.data)) return objectsOf(answer.data).map(({ embedding }) => listOf(embedding));
  return listOf(isObject(embeddings) ? embeddings.float : embeddings).map(listOf);
}
