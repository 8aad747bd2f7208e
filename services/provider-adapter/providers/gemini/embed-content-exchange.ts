import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { isBatch } from "../../translate/gemini-over-embeddings.ts";
import { countOf, decodeText, isObject, objectOf, objectsOf, parseObject } from "../../translate/json-reading.ts";
import type { GeminiHost } from "./chat-exchange.ts";
import { brokenAnswer, readResponse } from "./classify-error.ts";

/** Bytes of a request for a token: AI Studio does not always count what it embeds. */
const bytesPerToken = 4;

/**
 * Google's own calls for embeddings, passed through but for the model's name, which stands in every request of a batch.
 * https://ai.google.dev/api/embeddings
 */
export function createEmbedContentExchange(call: ProviderCall, host: GeminiHost): Exchange {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const batch = isBatch(client);
  const model = `models/${call.model.replace(/^models\//, "")}`;
  const asked = (request: JsonObject): JsonObject => ({ ...call.defaultParams, ...request, model });
  const body = batch ? { ...client, requests: objectsOf(client.requests).map(asked) } : asked(client);
  let usage = create(UsageSchema, {
    inputTokens: BigInt(Math.ceil(call.body.length / bytesPerToken)),
    estimated: true,
  });
  return {
    request: host.request(call, batch ? "batchEmbedContents" : "embedContent", body),
    decodeBody(bytes) {
      const answer = readResponse(host.id, decodeText(bytes));
      if (!(batch ? Array.isArray(answer.embeddings) : isObject(answer.embedding))) {
        throw upstreamError(brokenAnswer(host.id, "answered without an embedding"));
      }
      const tokens = countOf(objectOf(answer.usageMetadata).promptTokenCount);
      if (tokens !== undefined) usage = create(UsageSchema, { inputTokens: BigInt(tokens) });
      return bytes;
    },
    decodeEvents: () => [],
    finish: () => {
      throw upstreamError(brokenAnswer(host.id, "answered a call for embeddings with a stream"));
    },
    outcome: () => ({ usage, finishReason: "", responseModel: call.model, responseId: "" }),
  };
}
