import type { ModelPrice as ListedPrice, ModelInfo, TieredPrices } from "@pydantic/genai-prices";
import { scaledInteger } from "./decimal.ts";
import { freePrice, type ModelPrice, type Rates } from "./price.ts";

/** What a provider asks for a model at a moment; undefined where nobody knows. */
export type PriceSource = (now: number) => ModelPrice | undefined;

/** Known prices and models of the providers, from `@pydantic/genai-prices`. */
export interface PriceBook {
  /** Looks a model up once; the source it returns is cheap. Names are the provider's own. */
  source(provider: string, model: string): PriceSource;
  /** The names of a provider's models, deprecated ones left out. */
  models(provider: string): readonly string[];
}

/** Prices that change in the course of a day are looked up again after this time. */
const changingPriceMs = 60_000;

/** OpenRouter's variant that costs nothing, https://openrouter.ai/docs/guides/routing/model-variants/free */
const freeSuffix = ":free";

/** Providers whose prices are listed under another name. */
const listedAs: Readonly<Record<string, string>> = { azure_ai: "azure" };

/** Loads the price data, 0.8 MB of code that takes about 80 ms: done once at start, before calls come in. */
export async function loadPriceBook(): Promise<PriceBook> {
  const { calcPrice, findProvider } = await import("@pydantic/genai-prices");

  const find = (provider: string, model: string, now: number) => {
    const providerId = listedAs[provider] ?? provider;
    if (findProvider({ providerId }) === undefined) return undefined;
    try {
      return calcPrice({ input_tokens: 0 }, model, { providerId, timestamp: new Date(now) }) ?? undefined;
    } catch {
      // An entry that the package itself calls inconsistent is an unknown price, not a failed call.
      return undefined;
    }
  };

  return {
    source(provider, model) {
      if (provider === "openrouter" && model.endsWith(freeSuffix)) return () => freePrice;
      let known: { readonly price: ModelPrice | undefined; readonly until: number } | undefined;
      return (now) => {
        if (known !== undefined && now < known.until) return known.price;
        const found = find(provider, model, now);
        const changes = found !== undefined && Array.isArray(found.model.prices);
        const price = found === undefined ? undefined : convertPrice(found.model_price);
        known = { price, until: changes ? now + changingPriceMs : Number.POSITIVE_INFINITY };
        return price;
      };
    },
    models: (provider) => (findProvider({ providerId: provider })?.models ?? []).filter(isCurrent).map(({ id }) => id),
  };
}

/** `regional.` stands for the profiles of every region at Bedrock: a price, no name that could be called. */
function isCurrent(model: ModelInfo): boolean {
  return model.deprecated !== true && !/^(?:~|regional\.)/.test(model.id);
}

/** Converts US dollars per million tokens to integers. Undefined where the model is not billed by tokens. */
export function convertPrice(listed: ListedPrice): ModelPrice | undefined {
  if (listed.input_mtok === undefined && listed.output_mtok === undefined) return undefined;
  const starts = Object.values(listed).flatMap((value) =>
    isTiered(value) ? value.tiers.map(({ start }) => start) : [],
  );
  const tiers = [...new Set(starts)].sort((a, b) => a - b);
  return {
    base: ratesAbove(listed, undefined),
    tiers: tiers.map((start) => ({ above: BigInt(start), rates: ratesAbove(listed, start) })),
  };
}

function isTiered(value: number | TieredPrices | undefined): value is TieredPrices {
  return typeof value === "object";
}

/** The rates of the tier that begins at `start`, the base rates without one. */
function ratesAbove(listed: ListedPrice, start: number | undefined): Rates {
  const rate = (key: string, scale = 9): bigint | undefined => {
    const value = listed[key];
    if (value === undefined) return undefined;
    if (!isTiered(value)) return scaledInteger(value, scale);
    const tier = start === undefined ? undefined : value.tiers.filter((candidate) => candidate.start <= start).at(-1);
    return scaledInteger(tier?.price ?? value.base, scale);
  };
  const input = rate("input_mtok") ?? 0n;
  const output = rate("output_mtok") ?? 0n;
  const cacheWrite = rate("cache_write_mtok") ?? input;
  return {
    input,
    output,
    cacheRead: rate("cache_read_mtok") ?? input,
    cacheWrite,
    cacheWrite1h: rate("cache_write_1h_mtok") ?? cacheWrite,
    inputAudio: rate("input_audio_mtok") ?? input,
    outputAudio: rate("output_audio_mtok") ?? output,
    reasoning: rate("output_reasoning_mtok") ?? output,
    toolCall: rate("web_searches_kcount", 12) ?? 0n,
  };
}
