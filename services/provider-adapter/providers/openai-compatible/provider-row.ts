import type { OpenAiRow } from "#catalog/provider-row.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";

/** What is particular about one provider that speaks OpenAI's format: a row of the catalog. */
export type ProviderRow = OpenAiRow;

/** The path of an operation, undefined where the provider does not have it. */
export function pathOf(provider: ProviderRow, operation: Operation): string | undefined {
  switch (operation) {
    case Operation.CHAT_COMPLETIONS:
      return provider.paths.chat_completions;
    case Operation.COMPLETIONS:
      return provider.paths.completions;
    case Operation.RESPONSES:
      return provider.paths.responses;
    case Operation.EMBEDDINGS:
      return provider.paths.embeddings;
    case Operation.RERANK:
      return provider.paths.rerank;
    default:
      return undefined;
  }
}
