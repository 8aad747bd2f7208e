import { create } from "@bufbuild/protobuf";
import { type Amounts, AmountsSchema } from "#gen/sluice/accounting/v1/quota_pb.ts";

/** Quantities of everything a scope can be limited in, none of them negative. */
export interface Quantities {
  readonly nanoUsd: bigint;
  readonly requests: bigint;
  readonly tokens: bigint;
  readonly parallel: bigint;
}

export const nothing: Quantities = { nanoUsd: 0n, requests: 0n, tokens: 0n, parallel: 0n };

/** A million dollars, a million million tokens: more at once is a mistake, and might not fit a column when added up. */
const largestNano = 1_000_000_000_000_000n;
const largestCount = 1_000_000_000_000n;

/** Reads amounts from the wire, an absent message as nothing. Undefined where one is negative or absurdly large. */
export function readAmounts(amounts: Amounts | undefined): Quantities | undefined {
  if (amounts === undefined) return nothing;
  const { nanoUsd, requests, tokens, parallel } = amounts;
  if (nanoUsd < 0n || nanoUsd > largestNano) return undefined;
  if (requests > largestCount || tokens > largestCount || parallel > largestCount) return undefined;
  return { nanoUsd, requests, tokens, parallel };
}

/** Reads what would be welcome: at least the need, at most what a column holds. */
export function readWant(want: Amounts | undefined, need: Quantities): Quantities {
  return {
    nanoUsd: between(need.nanoUsd, want?.nanoUsd ?? 0n, largestNano),
    requests: between(need.requests, want?.requests ?? 0n, largestCount),
    tokens: between(need.tokens, want?.tokens ?? 0n, largestCount),
    parallel: between(need.parallel, want?.parallel ?? 0n, largestCount),
  };
}

export function toAmounts(quantities: Quantities): Amounts {
  return create(AmountsSchema, quantities);
}

function between(low: bigint, value: bigint, high: bigint): bigint {
  return max(low, min(value, high));
}

export function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
