import type { Exchange, ProviderCall } from "../../provider.ts";
import { createTextRanks, ranksIn, readRanksRequest } from "../text-ranks.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** A rerank call, as Text Embeddings Inference takes it: https://huggingface.github.io/text-embeddings-inference/ */
export function createRerankExchange(call: ProviderCall): Exchange {
  const asked = readRanksRequest(call, providerId);
  const body = { ...asked.params, query: asked.query, texts: [...asked.texts] };
  return createTextRanks(call, providerId, asked, upstreamRequest(call, "rerank", body), (answer) => {
    const ranks = ranksIn(answer);
    return ranks === undefined ? undefined : { ranks };
  });
}
