import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
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
import { rerankAnswer } from "../../translate/rerank-answer.ts";
import { refuseOrDrop } from "../../translate/unsupported-parameter.ts";
import { askedOf, usageOf } from "../retrieval/answer.ts";
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
  const form = row.rerank?.form ?? "cohere";
  const request = rerankRequest(row, call, form);
  const limit = form === "cohere" ? undefined : countOf(askedOf(call).top_n);
  let answer: JsonObject = {};
  return {
    request,
    decodeBody(body) {
      answer = readAnswer(row, body);
      const ranks = ranksOf(answer);
      if (ranks === undefined) throw protocolError(row.id, "the answer has no ranks");
      const id = textOf(answer.id) || (call.callId ?? "");
      return Buffer.from(JSON.stringify(rerankAnswer(id, ranks.slice(0, limit), tokensOf(answer) ?? 0)));
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

type Form = "cohere" | "deepinfra" | "nvidia";

function rerankRequest(row: ProviderRow, call: ProviderCall, form: Form): UpstreamRequest {
  const { request } = buildRequest(row, { ...call, stream: false });
  const own = call.baseUrl === "" ? row.rerank?.address : undefined;
  const url = own === undefined ? request.url : rerankAddress(row, call, own);
  return form === "cohere" ? { ...request, url } : { ...request, url, body: bodyOf(row, call, form) };
}

/** Members that Cohere's shape has and the other shapes have not; `top_n` is applied to the answer. */
const cohereOnly = ["rank_fields", "return_documents", "max_chunks_per_doc", "max_tokens_per_doc"];

function bodyOf(row: ProviderRow, call: ProviderCall, form: "deepinfra" | "nvidia"): Uint8Array {
  const { query, documents, model: _model, top_n: _limit, ...others } = askedOf(call);
  const body: JsonObject = {};
  for (const [name, value] of Object.entries(others)) {
    const refused =
      cohereOnly.includes(name) && value !== null && value !== false && !call.allowedParams.includes(name);
    if (refused) refuseOrDrop(call, name, `${row.id} does not support the parameter '${name}'.`);
    else if (value !== null && value !== false) body[name] = value;
  }
  const texts = listOf(documents).map((item) => {
    const text = typeof item === "string" ? item : textOf(objectOf(item).text);
    if (text !== "") return text;
    throw gatewayError(Reason.INVALID_REQUEST, `${row.id} ranks texts.`, { param: "documents" });
  });
  if (form === "deepinfra") Object.assign(body, { queries: [textOf(query)], documents: texts });
  else {
    const passages = texts.map((text) => ({ text }));
    Object.assign(body, { model: call.model, query: { text: textOf(query) }, passages });
  }
  return Buffer.from(JSON.stringify(body));
}

function readAnswer(row: ProviderRow, body: Uint8Array): JsonObject {
  const answer = parseObject(decodeText(body));
  if (answer === undefined) throw protocolError(row.id, "the answer is no JSON object");
  if (answer.error !== undefined || answer.detail !== undefined) throw upstreamError(errorInAnswer(row.id, answer));
  return answer;
}

/** The ranks, best first; undefined where there are none. */
function ranksOf(answer: JsonObject): JsonObject[] | undefined {
  if (Array.isArray(answer.results)) return objectsOf(answer.results);
  if (Array.isArray(answer.data)) return objectsOf(answer.data);
  if (Array.isArray(answer.rankings)) {
    return objectsOf(answer.rankings).map(({ index, logit }) => ({
      index: numberOf(index),
      relevance_score: numberOf(logit),
    }));
  }
  if (!Array.isArray(answer.scores)) return undefined;
  const scored = answer.scores.map((score, index) => ({ index, relevance_score: numberOf(score) }));
  return scored.sort((a, b) => b.relevance_score - a.relevance_score);
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
