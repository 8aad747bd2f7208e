import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { countOf, objectOf } from "../../translate/json-reading.ts";
import { createTextRanks, ranksIn, readRanksRequest } from "../text-ranks.ts";
import { modelMembers, upstreamRequest } from "./upstream-request.ts";

/** A rerank call: https://cloud.ibm.com/apidocs/watsonx-ai#text-rerank */
export function createRerankExchange(call: ProviderCall, provider: string): Exchange {
  const asked = readRanksRequest(call, provider);
  const parameters: JsonObject = { ...asked.params };
  if (asked.topN !== undefined) parameters.return_options = { top_n: asked.topN };
  const body = {
    ...modelMembers(call, provider),
    query: asked.query,
    inputs: asked.texts.map((text) => ({ text })),
    parameters,
  };
  const request = upstreamRequest(call, provider, "text/rerank", body);
  return createTextRanks(call, provider, asked, request, (value) => {
    const answer = objectOf(value);
    const ranks = ranksIn(answer.results);
    const tokens = countOf(answer.input_token_count);
    return ranks === undefined ? undefined : { ranks, ...(tokens === undefined ? {} : { tokens }) };
  });
}
