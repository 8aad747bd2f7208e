import { configuredRowSchema } from "#catalog/provider-row.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Target } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Provider } from "./provider.ts";
import type { ProviderSource } from "./providers/index.ts";
import { createOpenAiCompatibleProvider } from "./providers/openai-compatible/provider.ts";
import { withGenerateContent } from "./translate/gemini-over-chat.ts";
import { decodeText, parseObject } from "./translate/json-reading.ts";

/** Finds the provider of a call. */
export interface ProviderLookup {
  /**
   * The provider of a target; a promise of it while its code is imported, which its first calls wait for. Undefined where
   * nobody knows it. Throws INVALID_REQUEST where the row that came with the target is malformed. The promise rejects with
   * UNAVAILABLE where the code cannot be imported; the next call tries again.
   */
  find(target: Target): Provider | undefined | Promise<Provider>;
}

/** How many providers of configurations are kept; the one made first goes first. */
const maxConfigured = 1000;

/** The built-in providers, and those whose row comes with the target. */
export function createProviderLookup(builtIn: ReadonlyMap<string, ProviderSource>): ProviderLookup {
  const known = new Map<string, Provider | Promise<Provider>>();
  const configured = new Map<string, Provider>();
  const load = async (id: string, source: () => Promise<Provider>): Promise<Provider> => {
    try {
      const provider = withGenerateContent(await source());
      known.set(id, provider);
      return provider;
    } catch (cause) {
      known.delete(id);
      throw gatewayError(Reason.UNAVAILABLE, `the code of the provider ${id} cannot be loaded`, { cause });
    }
  };
  const take = (id: string): Provider | Promise<Provider> | undefined => {
    const source = builtIn.get(id);
    if (source === undefined) return undefined;
    const provider = typeof source === "function" ? load(id, source) : withGenerateContent(source);
    known.set(id, provider);
    return provider;
  };
  return {
    find({ provider: id, providerRow }) {
      const found = known.get(id) ?? take(id);
      if (found !== undefined || providerRow.length === 0) return found;
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
