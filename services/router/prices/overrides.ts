import { scaledInteger } from "./decimal.ts";
import { freePrice, type ModelPrice, type Rates } from "./price.ts";
import type { PriceSource } from "./price-book.ts";

/** Rates that the configuration sets, nano-USD per million tokens. */
export type PriceOverrides = Partial<Rates>;

/** LiteLLM's price keys, US dollars per token or search, in `litellm_params` or `model_info`, and the rate each one sets. */
export const priceKeys = {
  input_cost_per_token: "input",
  output_cost_per_token: "output",
  cache_read_input_token_cost: "cacheRead",
  input_cost_per_token_cache_hit: "cacheRead",
  cache_creation_input_token_cost: "cacheWrite",
  cache_creation_input_token_cost_above_1hr: "cacheWrite1h",
  input_cost_per_audio_token: "inputAudio",
  output_cost_per_audio_token: "outputAudio",
  output_cost_per_reasoning_token: "reasoning",
  input_cost_per_query: "toolCall",
} as const satisfies Readonly<Record<string, keyof Rates>>;

export type PriceKey = keyof typeof priceKeys;

export function isPriceKey(key: string): key is PriceKey {
  return Object.hasOwn(priceKeys, key);
}

/** US dollars per token as nano-USD per million tokens. Undefined where it is no number. */
export function ratePerToken(usd: number | string): bigint | undefined {
  return scaledInteger(usd, 15);
}

/**
 * Lays the configuration's rates over the known price. A rate that neither lists by itself (reasoning, say, which is
 * output where no price of its own is known) follows the rate it derives from.
 */
export function withOverrides(source: PriceSource, overrides: PriceOverrides): PriceSource {
  if (Object.keys(overrides).length === 0) return source;
  let last: { readonly from: ModelPrice | undefined; readonly price: ModelPrice } | undefined;
  return (now) => {
    const from = source(now);
    if (last === undefined || last.from !== from) last = { from, price: overridden(from ?? freePrice, overrides) };
    return last.price;
  };
}

function overridden(known: ModelPrice, overrides: PriceOverrides): ModelPrice {
  return {
    base: merged(known.base, overrides),
    tiers: known.tiers.map(({ above, rates }) => ({ above, rates: merged(rates, overrides) })),
  };
}

function merged(known: Rates, overrides: PriceOverrides): Rates {
  const input = overrides.input ?? known.input;
  const output = overrides.output ?? known.output;
  const cacheWrite = overrides.cacheWrite ?? (known.cacheWrite === known.input ? input : known.cacheWrite);
  return {
    input,
    output,
    cacheRead: overrides.cacheRead ?? (known.cacheRead === known.input ? input : known.cacheRead),
    cacheWrite,
    cacheWrite1h: overrides.cacheWrite1h ?? (known.cacheWrite1h === known.cacheWrite ? cacheWrite : known.cacheWrite1h),
    inputAudio: overrides.inputAudio ?? (known.inputAudio === known.input ? input : known.inputAudio),
    outputAudio: overrides.outputAudio ?? (known.outputAudio === known.output ? output : known.outputAudio),
    reasoning: overrides.reasoning ?? (known.reasoning === known.output ? output : known.reasoning),
    toolCall: overrides.toolCall ?? known.toolCall,
  };
}
