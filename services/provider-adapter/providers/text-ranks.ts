import { create } from "@bufbuild/protobuf";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall, UpstreamRequest } from "../provider.ts";
import { decodeText, isObject, listOf, numberOf, parseObject, textOf } from "../translate/json-reading.ts";
import { refuseOrDrop } from "../translate/unsupported-parameter.ts";
import { incompleteAnswer, parseAnswer } from "./json-answer.ts";
import { protocolError } from "./openai-compatible/answer.ts";

/** Fields of Cohere's first version that are Cohere's alone. */
const unsupported = ["rank_fields", "max_chunks_per_doc", "max_tokens_per_doc"] as const;
const consumed: ReadonlySet<string> = new Set(["model", "query", "documents", "top_n", "return_documents", "stream"]);
const bytesPerToken = 4;

/** A rerank call in Cohere's shape, for a provider that ranks texts. */
export interface RanksRequest {
  readonly query: string;
  readonly texts: readonly string[];
  /** Undefined: all of them. */
  readonly topN: number | undefined;
  readonly returnDocuments: boolean;
  /** What Cohere does not know. */
  readonly params: JsonObject;
}

/** How a text ranks. */
export interface Rank {
  readonly index: number;
  readonly score: number;
}

/** Reads a rerank call, https://docs.cohere.com/reference/rerank. Throws a GatewayError where it is none for texts. */
export function readRanksRequest(call: ProviderCall, provider: string): RanksRequest {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const asked: JsonObject = { ...call.defaultParams, ...client };
  for (const name of unsupported) {
    if (asked[name] === undefined || asked[name] === null) continue;
    refuseOrDrop(call, name, `${provider} does not support the parameter '${name}'.`);
  }
  const skipped = (name: string) => consumed.has(name) || unsupported.some((other) => other === name);
  return {
    query: textOf(asked.query),
    texts: listOf(asked.documents).map((document) => documentText(document, provider)),
    topN: typeof asked.top_n === "number" ? asked.top_n : undefined,
    returnDocuments: asked.return_documents === true,
    params: Object.fromEntries(Object.entries(asked).filter(([name, value]) => !skipped(name) && value !== null)),
  };
}

function documentText(document: JsonValue, provider: string): string {
  if (typeof document === "string") return document;
  if (isObject(document) && typeof document.text === "string") return document.text;
  throw gatewayError(Reason.INVALID_REQUEST, `${provider} ranks texts.`, { param: "documents" });
}

/** A rerank call whose ranks `read` finds in an answer, with the tokens that were read where it tells. */
export function createTextRanks(
  call: ProviderCall,
  provider: string,
  asked: RanksRequest,
  request: UpstreamRequest,
  read: (answer: JsonValue) => { readonly ranks: readonly Rank[]; readonly tokens?: number } | undefined,
): Exchange {
  const size = asked.texts.reduce((sum, text) => sum + Buffer.byteLength(asked.query) + Buffer.byteLength(text), 0);
  let tokens: number | undefined;
  return {
    request,
    decodeBody(body) {
      const answer = parseAnswer(provider, body);
      const found = read(answer);
      if (found === undefined) {
        throw incompleteAnswer(provider, answer, "the answer has no ranks");
      }
      tokens = found.tokens;
      return Buffer.from(JSON.stringify(ranksAnswer(found.ranks, asked, call, tokens)));
    },
    decodeEvents: () => [],
    finish: () => {
      throw protocolError(provider, "it answered a call for ranks with a stream");
    },
    outcome: () => ({
      usage: create(UsageSchema, {
        inputTokens: BigInt(tokens ?? Math.ceil(size / bytesPerToken)),
        estimated: tokens === undefined,
      }),
      finishReason: "",
      responseModel: call.model,
      responseId: "",
    }),
  };
}

function ranksAnswer(
  ranks: readonly Rank[],
  { texts, topN, returnDocuments }: RanksRequest,
  call: ProviderCall,
  tokens: number | undefined,
): JsonObject {
  const best = [...ranks].sort((a, b) => b.score - a.score).slice(0, topN ?? ranks.length);
  const results = best.map(({ index, score }) => {
    const rank: JsonObject = { index, relevance_score: score };
    if (returnDocuments) rank.document = { text: texts[index] ?? "" };
    return rank;
  });
  const meta: JsonObject =
    tokens === undefined ? {} : { billed_units: { total_tokens: tokens }, tokens: { input_tokens: tokens } };
  return { id: call.callId ?? "", results, meta };
}

/** The ranks of a list of objects with `index` and `score`. */
export function ranksIn(items: JsonValue | undefined): readonly Rank[] | undefined {
  if (!Array.isArray(items)) return undefined;
  return items.filter(isObject).map(({ index, score }) => ({ index: numberOf(index), score: numberOf(score) }));
}
