import { type Cost, CostSchema, CostState, type Usage } from "#gen/sluice/inference/v1/usage_pb.ts";

/** Nano-USD per million units: $3 per million tokens is 3000000000n. */
export interface Rates {
  readonly input: bigint;
  readonly output: bigint;
  readonly cacheRead: bigint;
  readonly cacheWrite: bigint;
  readonly cacheWrite1h: bigint;
  readonly inputAudio: bigint;
  readonly outputAudio: bigint;
  readonly reasoning: bigint;
  readonly toolCall: bigint;
}

/** Rates that hold for the whole call once its input exceeds `above` tokens. */
export interface Tier {
  readonly above: bigint;
  readonly rates: Rates;
}

/** The price of a model. Tiers are in ascending order. */
export interface ModelPrice {
  readonly base: Rates;
  readonly tiers: readonly Tier[];
}

const million = 1_000_000n;

/** The rates for a call of so many input tokens, cached ones included. */
export function ratesFor(price: ModelPrice, inputTokens: bigint): Rates {
  let rates = price.base;
  for (const tier of price.tiers) if (inputTokens > tier.above) rates = tier.rates;
  return rates;
}

/** What a call costs, rounded half up to a whole nano-USD. An unknown price is UNPRICED, never 0. */
export function costOf(usage: Usage, price: ModelPrice | undefined): Cost {
  if (price === undefined) return { $typeName: CostSchema.typeName, nanoUsd: 0n, state: CostState.UNPRICED };
  const cached = usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens;
  const rates = ratesFor(price, usage.inputTokens + cached);
  // A provider that reports more of a part than of the whole must not make the rest negative.
  const inputText = atLeastZero(usage.inputTokens - usage.inputAudioTokens);
  const outputText = atLeastZero(usage.outputTokens - usage.outputAudioTokens - usage.reasoningTokens);
  let sum = inputText * rates.input + outputText * rates.output + usage.reasoningTokens * rates.reasoning;
  if (usage.inputAudioTokens > 0n) sum += usage.inputAudioTokens * rates.inputAudio;
  if (usage.outputAudioTokens > 0n) sum += usage.outputAudioTokens * rates.outputAudio;
  if (cached > 0n) {
    sum += usage.cacheReadTokens * rates.cacheRead;
    sum += usage.cacheWriteTokens * rates.cacheWrite + usage.cacheWrite1hTokens * rates.cacheWrite1h;
  }
  if (usage.toolCalls > 0n) sum += usage.toolCalls * rates.toolCall;
  return { $typeName: CostSchema.typeName, nanoUsd: (sum + million / 2n) / million, state: CostState.PRICED };
}

/** The most that one input token can cost, whether it is read as it is or written to a cache. */
export function dearestInput(rates: Rates): bigint {
  const read = larger(rates.input, rates.cacheRead);
  const written = larger(rates.cacheWrite, rates.cacheWrite1h);
  return larger(larger(read, written), rates.inputAudio);
}

/** The most that one output token can cost. */
export function dearestOutput(rates: Rates): bigint {
  return larger(larger(rates.output, rates.reasoning), rates.outputAudio);
}

export const freePrice: ModelPrice = {
  base: {
    input: 0n,
    output: 0n,
    cacheRead: 0n,
    cacheWrite: 0n,
    cacheWrite1h: 0n,
    inputAudio: 0n,
    outputAudio: 0n,
    reasoning: 0n,
    toolCall: 0n,
  },
  tiers: [],
};

function larger(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

function atLeastZero(value: bigint): bigint {
  return value < 0n ? 0n : value;
}
