import { configuredRowSchema } from "#catalog/provider-row.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Target } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Provider } from "./provider.ts";
import { createOpenAiCompatibleProvider } from "./providers/openai-compatible/provider.ts";
import { withGenerateContent } from "./translate/gemini-over-chat.ts";
import { decodeText, parseObject } from "./translate/json-reading.ts";

/** Finds the provider of a call. */
export interface ProviderLookup {
  /** Undefined where nobody knows it. Throws INVALID_REQUEST where the row that came with the target is malformed. */
  find(target: Target): Provider | undefined;
}

/** How many providers of configurations are kept; the one made first goes first. */
const maxConfigured = 1000;

/** The built-in providers, and those whose row comes with the target. */
export function createProviderLookup(builtIn: ReadonlyMap<string, Provider>): ProviderLookup {
  const configured = new Map<string, Provider>();
  return {
    find({ provider: id, providerRow }) {
      const known = builtIn.get(id);
      if (known !== undefined || providerRow.length === 0) return known;
      const text = decodeText(providerRow);
      const made = configured.get(text) ?? makeProvider(text);
      const [oldest] = configured.keys();
      if (oldest !== undefined && configured.size >= maxConfigured && !configured.has(text)) configured.delete(oldest);
      configured.set(text, made);
      return made.id === id ? made : undefined;
    },
  };
}

function makeProvider(text: string): Provider {
  const row = configuredRowSchema.safeParse(parseObject(text));
  if (!row.success) throw gatewayError(Reason.INVALID_REQUEST, "the provider's row is malformed", { param: "target" });
  return withGenerateContent(createOpenAiCompatibleProvider(row.data));
}
