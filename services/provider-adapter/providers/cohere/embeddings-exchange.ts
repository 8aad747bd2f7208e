import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, JsonValue, Outcome, ProviderCall } from "../../provider.ts";
import { countOf, decodeText, listOf, numberOf, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { brokenAnswer, classifyErrorObject } from "./classify-error.ts";
import { modelOf, upstreamRequest } from "./upstream-request.ts";
import { estimatedUsage, readUsage } from "./usage.ts";

/** What is Cohere's own in an embeddings request and passes as it is. */
const passed = ["truncate", "max_tokens", "priority"] as const;

/**
 * An embeddings call, translated to `/v2/embed` and back, https://docs.cohere.com/reference/embed. Cohere has to know what
 * the vectors are for: `input_type` of the client, else documents for a search. Vectors are asked for as floats whatever
 * the client wants; `encoding_format: base64` is made here.
 */
export function createEmbeddingsExchange(call: ProviderCall): Exchange {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const asked: JsonObject = { ...call.defaultParams, ...client };
  const model = modelOf(call);
  const request = upstreamRequest(call, "/v2/embed", embedBody(asked, model));
  let answer: JsonObject = {};
  return {
    request,
    decodeBody(body) {
      const parsed = parseObject(decodeText(body));
      if (parsed === undefined) throw upstreamError(brokenAnswer("Cohere's answer is not JSON"));
      const vectors = floatsOf(parsed);
      if (vectors === undefined) {
        const isError = typeof parsed.message === "string";
        throw upstreamError(isError ? classifyErrorObject(parsed) : brokenAnswer("Cohere's answer has no embeddings"));
      }
      answer = parsed;
      return Buffer.from(JSON.stringify(embeddingsAnswer(vectors, parsed, model, asked.encoding_format === "base64")));
    },
    decodeEvents: () => [],
    finish: () => [],
    outcome: (): Outcome => ({
      usage: readUsage({ billed_units: billedUnits(answer) }) ?? estimatedUsage(0),
      finishReason: "",
      responseModel: "",
      responseId: textOf(answer.id),
    }),
  };
}

function embedBody(asked: JsonObject, model: string): JsonObject {
  const inputs = textsOf(asked.input);
  const images = inputs.filter((text) => text.startsWith("data:image/"));
  if (images.length > 0 && images.length < inputs.length) {
    throw gatewayError(Reason.INVALID_REQUEST, "Cohere embeds either texts or images in one call.", { param: "input" });
  }
  const isImage = images.length > 0;
  const body: JsonObject = {
    model,
    input_type: textOf(asked.input_type) || (isImage ? "image" : "search_document"),
    embedding_types: ["float"],
    [isImage ? "images" : "texts"]: inputs,
  };
  if (typeof asked.dimensions === "number") body.output_dimension = asked.dimensions;
  for (const name of passed) if (asked[name] !== undefined && asked[name] !== null) body[name] = asked[name];
  return body;
}

function textsOf(input: JsonValue | undefined): string[] {
  const list = Array.isArray(input) ? input : [input];
  const texts = list.filter((text) => typeof text === "string");
  if (texts.length === list.length) return texts;
  throw gatewayError(Reason.INVALID_REQUEST, "Cohere embeds texts, not lists of tokens.", { param: "input" });
}

function floatsOf(answer: JsonObject): JsonValue[][] | undefined {
  const vectors = Array.isArray(answer.embeddings) ? answer.embeddings : objectOf(answer.embeddings).float;
  return Array.isArray(vectors) ? vectors.map(listOf) : undefined;
}

function embeddingsAnswer(vectors: JsonValue[][], answer: JsonObject, model: string, base64: boolean): JsonObject {
  const { input_tokens: tokens } = billedUnits(answer);
  return {
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: base64 ? encodeFloats(vector) : vector,
    })),
    model,
    usage: { prompt_tokens: numberOf(tokens), total_tokens: numberOf(tokens) },
  };
}

/** Texts and images together: both are input. */
function billedUnits(answer: JsonObject): JsonObject {
  const billed = objectOf(objectOf(answer.meta).billed_units);
  const text = countOf(billed.input_tokens);
  const image = countOf(billed.image_tokens);
  return text === undefined && image === undefined ? {} : { input_tokens: (text ?? 0) + (image ?? 0) };
}

/** OpenAI's form: 32-bit floats, little-endian. */
function encodeFloats(vector: readonly JsonValue[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => {
    bytes.writeFloatLE(numberOf(value), index * 4);
  });
  return bytes.toString("base64");
}
