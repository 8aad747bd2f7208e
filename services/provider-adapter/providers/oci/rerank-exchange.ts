import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { numberOf, objectOf, objectsOf } from "../../translate/json-reading.ts";
import { createTextRanks, readRanksRequest } from "../text-ranks.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** A rerank call, https://docs.oracle.com/en-us/iaas/api/#/en/generative-ai-inference/20231130/RerankTextResult/RerankText. */
export function createRerankExchange(call: ProviderCall): Exchange {
  const asked = readRanksRequest(call, providerId);
  const body: JsonObject = { input: asked.query, documents: [...asked.texts], ...asked.params };
  if (asked.topN !== undefined) body.topN = asked.topN;
  return createTextRanks(call, providerId, asked, upstreamRequest(call, "rerankText", body), (answer) => {
    const { documentRanks } = objectOf(answer);
    if (!Array.isArray(documentRanks)) return undefined;
    const ranks = objectsOf(documentRanks).map(({ index, relevanceScore }) => ({
      index: numberOf(index),
      score: numberOf(relevanceScore),
    }));
    return { ranks };
  });
}
