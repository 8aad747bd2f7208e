import type { JsonObject } from "../provider.ts";
import { numberOf } from "./json-reading.ts";

/** An answer in Cohere's shape, https://docs.cohere.com/reference/rerank, of a provider that bills by the token. */
export function rerankAnswer(id: string, ranks: readonly JsonObject[], tokens: number): JsonObject {
  return {
    id,
    results: ranks.map(({ index, relevance_score, document }) => {
      const rank: JsonObject = { index: numberOf(index), relevance_score: numberOf(relevance_score) };
      if (typeof document === "string") rank.document = { text: document };
      else if (document !== undefined && document !== null) rank.document = document;
      return rank;
    }),
    meta: { billed_units: { total_tokens: tokens }, tokens: { input_tokens: tokens } },
  };
}
