import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { isObject, listOf, objectsOf, textOf, without } from "../../translate/json-reading.ts";
import { rerankAnswer } from "../../translate/rerank-answer.ts";
import { refuseOrDrop } from "../../translate/unsupported-parameter.ts";
import { answerOf, askedOf, tokensOf, usageOf } from "./answer.ts";
import type { RetrievalRow } from "./retrieval-row.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** Fields of Cohere's first version that are Cohere's alone. */
const unsupported = ["rank_fields", "max_chunks_per_doc", "max_tokens_per_doc"] as const;

/** A rerank call in Cohere's shape, https://docs.cohere.com/reference/rerank. The provider bills it by the token. */
export function createRerankExchange(row: RetrievalRow, call: ProviderCall): Exchange {
  const asked = askedOf(call);
  const request = upstreamRequest(row, call, "rerank", rerankBody(row, asked, call));
  let answer: JsonObject = {};
  return {
    request,
    decodeBody(body) {
      answer = answerOf(row.id, body, row.results);
      const id = textOf(answer.id) || (call.callId ?? "");
      return Buffer.from(JSON.stringify(rerankAnswer(id, objectsOf(answer[row.results]), tokensOf(answer) ?? 0)));
    },
    decodeEvents: () => [],
    finish: () => [],
    outcome: () => ({
      usage: usageOf(tokensOf(answer)),
      finishReason: "",
      responseModel: textOf(answer.model),
      responseId: textOf(answer.id),
    }),
  };
}

function rerankBody(row: RetrievalRow, asked: JsonObject, call: ProviderCall): JsonObject {
  for (const name of unsupported) {
    if (asked[name] === undefined || asked[name] === null || call.allowedParams.includes(name)) continue;
    refuseOrDrop(call, name, `${row.id} does not support the parameter '${name}'.`);
  }
  const kept = unsupported.filter((name) => !call.allowedParams.includes(name));
  const body: JsonObject = { ...without(asked, ...kept, "top_n", "stream"), model: call.model };
  if (asked.top_n !== undefined && asked.top_n !== null) body[row.topN] = asked.top_n;
  // Cohere's documents may be objects with a text.
  body.documents = listOf(asked.documents).map((item) => (isTextOnly(item) ? textOf(item.text) : item));
  return body;
}

function isTextOnly(item: JsonObject[string]): item is JsonObject {
  return isObject(item) && typeof item.text === "string" && Object.keys(item).length === 1;
}
