import type { Estimate, EstimatedPrice } from "./admission.ts";
import type { CallScope } from "./hold.ts";
import { limited, type Wallet } from "./wallet.ts";
import type { Quantities } from "./wallet-book.ts";

/** What a call asks of its scopes. */
export interface Claim {
  readonly scopes: readonly CallScope[];
  readonly nano: bigint;
  readonly tokens: number;
  readonly price: EstimatedPrice | undefined;
}

/** A hundred thousand dollars and a hundred thousand million tokens: no call is that large. */
const mostNano = 100_000_000_000_000n;
const mostTokens = 100_000_000_000;

/** What a call asks for after its estimate, up to a bound: beyond it is a mistake of the client, and no budget large enough. */
export function claimOf(scopes: readonly CallScope[], { tokens, price }: Estimate): Claim {
  const output = price === undefined ? 0n : BigInt(price.outputTokens) * price.outputNanoUsdPerMillion;
  const nano = price === undefined ? 0n : price.inputNanoUsd + ceilPerMillion(output);
  return { scopes, nano: nano > mostNano ? mostNano : nano, tokens: Math.min(tokens, mostTokens), price };
}

/** What a wallet lacks for a call, in the quantities that are limited. */
export function missing(wallet: Wallet, kinds: number, nano: bigint, tokens: number, now: number): Quantities {
  const lacks = (kind: number, need: number, has: number) => BigInt((kinds & kind) === 0 ? 0 : Math.max(0, need - has));
  return {
    nanoUsd: (kinds & limited.budget) !== 0 && wallet.nano < nano ? nano - wallet.nano : 0n,
    requests: lacks(limited.requests, 1, wallet.requests(now)),
    tokens: lacks(limited.tokens, tokens, wallet.tokens(now)),
    parallel: lacks(limited.parallel, 1, wallet.parallel),
  };
}

/** Output tokens for each choice that `purse` pays beside the input. */
export function affordableOutput(price: EstimatedPrice, purse: bigint): number {
  const left = purse - price.inputNanoUsd;
  if (left <= 0n) return 0;
  return Number((left * 1_000_000n) / price.outputNanoUsdPerMillion / BigInt(Math.max(1, price.choices)));
}

export function ceilPerMillion(value: bigint): bigint {
  return (value + 999_999n) / 1_000_000n;
}
