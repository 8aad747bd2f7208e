import { upstreamError } from "#chassis/errors.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall, UpstreamRequest } from "../../provider.ts";
import {
  countOf,
  decodeText,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../translate/json-reading.ts";
import { rerankAnswer } from "../../translate/rerank-answer.ts";
import { usageOf } from "../retrieval/answer.ts";
import { createTextRanks, type Rank, type RanksRequest, readRanksRequest } from "../text-ranks.ts";
import { rerankAddress } from "./address.ts";
import { protocolError } from "./answer.ts";
import { errorInAnswer } from "./errors.ts";
import type { ProviderRow } from "./provider-row.ts";
import { buildRequest } from "./request.ts";

/**
 * A rerank call in Cohere's shape, https://docs.cohere.com/reference/rerank, which vLLM, Infinity, Together and others take
 * as it is. DeepInfra (https://deepinfra.com/docs) and NVIDIA (https://docs.api.nvidia.com/nim/reference) have shapes of
 * their own.
 */
export function createRerankExchange(row: ProviderRow, call: ProviderCall): Exchange {
  const request = rerankRequest(row, call);
  switch (row.rerank?.form) {
    case "deepinfra":
      return formExchange(row, call, request, deepInfraBody);
    case "nvidia":
      return formExchange(row, call, request, nvidiaBody);
    default:
      return cohereExchange(row, call, request);
  }
}

function rerankRequest(row: ProviderRow, call: ProviderCall): UpstreamRequest {
  const { request } = buildRequest(row, { ...call, stream: false });
  const own = call.baseUrl === "" ? row.rerank?.address : undefined;
  return own === undefined ? request : { ...request, url: rerankAddress(row, call, own) };
}

function cohereExchange(row: ProviderRow, call: ProviderCall, request: UpstreamRequest): Exchange {
  let answer: JsonObject = {};
  return {
    request,
    decodeBody(body) {
      answer = readAnswer(row, body);
      const ranks = answer.results ?? answer.data;
      if (!Array.isArray(ranks)) throw protocolError(row.id, "the answer has no ranks");
      const id = textOf(answer.id) || (call.callId ?? "");
      return Buffer.from(JSON.stringify(rerankAnswer(id, objectsOf(ranks), tokensOf(answer) ?? 0)));
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

function readAnswer(row: ProviderRow, body: Uint8Array): JsonObject {
  const answer = parseObject(decodeText(body));
  if (answer === undefined) throw protocolError(row.id, "the answer is no JSON object");
  if (answer.error !== undefined || answer.detail !== undefined) throw upstreamError(errorInAnswer(row.id, answer));
  return answer;
}

/** `bodyOf`: the call in the provider's shape, further parameters aside. */
function formExchange(
  row: ProviderRow,
  call: ProviderCall,
  request: UpstreamRequest,
  bodyOf: (asked: RanksRequest, model: string) => JsonObject,
): Exchange {
  const asked = readRanksRequest(call, row.id);
  const body = Buffer.from(JSON.stringify({ ...bodyOf(asked, call.model), ...asked.params }));
  return createTextRanks(call, row.id, asked, { ...request, body }, (value) => {
    const answer = objectOf(value);
    const ranks = ranksOf(answer);
    const tokens = tokensOf(answer);
    return ranks === undefined ? undefined : { ranks, ...(tokens === undefined ? {} : { tokens }) };
  });
}

function deepInfraBody({ query, texts }: RanksRequest): JsonObject {
  return { queries: [query], documents: [...texts] };
}

function nvidiaBody({ query, texts }: RanksRequest, model: string): JsonObject {
  return { model, query: { text: query }, passages: texts.map((text) => ({ text })) };
}

/** NVIDIA tells logits, DeepInfra a score for every text. */
function ranksOf({ rankings, scores }: JsonObject): Rank[] | undefined {
  if (Array.isArray(rankings)) {
    return objectsOf(rankings).map(({ index, logit }) => ({ index: numberOf(index), score: numberOf(logit) }));
  }
  return Array.isArray(scores)
    ? scores.map((score: JsonValue, index) => ({ index, score: numberOf(score) }))
    : undefined;
}

/** Together and vLLM count in `usage`, Cohere's own shape in `meta`, DeepInfra in the answer itself. */
function tokensOf(answer: JsonObject): number | undefined {
  const { total_tokens, prompt_tokens } = objectOf(answer.usage);
  const meta = objectOf(answer.meta);
  return (
    countOf(total_tokens) ??
    countOf(prompt_tokens) ??
    countOf(answer.input_tokens) ??
    countOf(objectOf(meta.tokens).input_tokens) ??
    countOf(objectOf(meta.billed_units).total_tokens)
  );
}
