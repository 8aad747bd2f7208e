import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { objectsOf, textOf, without } from "../../translate/json-reading.ts";
import { answerOf, askedOf, tokensOf, usageOf } from "./answer.ts";
import type { RetrievalRow } from "./retrieval-row.ts";
import { upstreamRequest } from "./upstream-request.ts";

/**
 * An embeddings call in OpenAI's shape. The provider's own fields (`input_type`, `task`, `truncation`, …) pass as they are;
 * `user`, which labels a call and changes no vector, stays here.
 */
export function createEmbeddingsExchange(row: RetrievalRow, call: ProviderCall): Exchange {
  const request = upstreamRequest(row, call, "embeddings", embeddingsBody(row, askedOf(call), call.model));
  let answer: JsonObject = {};
  return {
    request,
    decodeBody(body) {
      answer = answerOf(row.id, body, "data");
      const tokens = tokensOf(answer) ?? 0;
      const data = objectsOf(answer.data).map((item, index) => ({ object: "embedding", index, ...item }));
      const usage = { prompt_tokens: tokens, total_tokens: tokens };
      return Buffer.from(JSON.stringify({ object: "list", data, model: textOf(answer.model) || call.model, usage }));
    },
    decodeEvents: () => [],
    finish: () => [],
    outcome: () => ({
      usage: usageOf(tokensOf(answer)),
      finishReason: "",
      responseModel: textOf(answer.model),
      responseId: "",
    }),
  };
}

function embeddingsBody(row: RetrievalRow, asked: JsonObject, model: string): JsonObject {
  const input = Array.isArray(asked.input) ? asked.input : [asked.input];
  if (input.some((item) => typeof item === "number" || Array.isArray(item))) {
    throw gatewayError(Reason.INVALID_REQUEST, `${row.id} embeds texts, not lists of tokens.`, { param: "input" });
  }
  const body: JsonObject = { ...without(asked, "user", "dimensions", "encoding_format", "stream"), model };
  if (asked.dimensions !== undefined && asked.dimensions !== null) body[row.dimensions] = asked.dimensions;
  const format = asked.encoding_format;
  if (typeof format === "string" && !(format === "float" && row.refusesFloat)) body[row.format] = format;
  return body;
}
