import { max, min, type Quantities } from "./amounts.ts";
import type { Ledger } from "./ledger.ts";
import { type RateBucket, waitFor } from "./rate-window.ts";

/** The limits of a scope; undefined means none. */
export interface Limits {
  readonly budgetNanoUsd: bigint | undefined;
  readonly requests: bigint | undefined;
  readonly tokens: bigint | undefined;
  readonly parallel: bigint | undefined;
}

export interface Need {
  readonly scope: string;
  readonly limits: Limits;
  readonly need: Quantities;
  readonly want: Quantities;
  readonly partial: boolean;
}

export interface Holding {
  readonly nanoUsd: bigint;
  readonly parallel: bigint;
}

/** Everything about a scope that a decision rests on, read under the scope's lock. */
export interface ScopeState {
  readonly ledger: Ledger;
  /** What the asking owner holds, whether its TTL has passed or not: it still owes it. */
  readonly own: Holding;
  /** Whether the owner's wallet has expired, so that a renewal is a new reservation. */
  readonly ownExpired: boolean;
  /** What all other owners hold whose TTL has not passed. */
  readonly others: Holding;
  /** Whether there is any such owner. */
  readonly shared: boolean;
  /** What was granted in the window, only buckets that count. Empty where there is no rate limit. */
  readonly buckets: readonly RateBucket[];
}

export type LimitType = "budget" | "requests" | "tokens" | "max_parallel_requests";

export interface Refusal {
  readonly type: LimitType;
  readonly need: Need;
  /** What could be granted; negative where more is out than the limit. */
  readonly available: bigint;
  /** Milliseconds until a retry can succeed; undefined where waiting does not help or the time is unknown. */
  readonly retryAfterMs: number | undefined;
  readonly state: ScopeState;
}

export type Decision = { readonly granted: Quantities } | { readonly refusal: Refusal };

/** The part of what is left beyond the need that one grant may take: the last eighth is cut into ever smaller ones. */
const moneyShare = 8n;
/** Unused requests and tokens are lost with their hold, so fewer of them are given in advance. */
const rateShare = 32n;
/** When a limit is met only because of calls in flight, waiting for one to end is worth a try. */
const inFlightRetryMs = 1000;

/** Decides what one scope grants. Pure: the caller holds the lock and writes the result. */
export function decide(need: Need, state: ScopeState, nowMs: number, holdMs: number): Decision {
  const money = grantMoney(need, state, nowMs);
  if (typeof money !== "bigint") return money;
  const requests = grantRate("requests", need, state, nowMs, holdMs);
  if (typeof requests !== "bigint") return requests;
  const tokens = grantRate("tokens", need, state, nowMs, holdMs);
  if (typeof tokens !== "bigint") return tokens;
  const parallel = grantSlots(need, state);
  if (typeof parallel !== "bigint") return parallel;
  return { granted: { nanoUsd: money, requests, tokens, parallel } };
}

type Refused = { readonly refusal: Refusal };

function grantMoney(need: Need, state: ScopeState, nowMs: number): bigint | Refused {
  const limit = need.limits.budgetNanoUsd;
  if (limit === undefined) return need.want.nanoUsd;
  const asked = need.need.nanoUsd;
  const available = limit - state.ledger.spent - state.others.nanoUsd - state.own.nanoUsd;
  if (asked <= available) return withSurplus(asked, need.want.nanoUsd, available, moneyShare);
  if (need.partial && available > 0n && state.others.nanoUsd === 0n) return available;
  if (asked === 0n && !state.ownExpired) return 0n;
  const { endMs } = state.ledger.window;
  const fitsWithoutOthers = asked <= limit - state.ledger.spent;
  const untilReset = endMs === undefined ? undefined : Math.max(1, endMs - nowMs);
  const retryAfterMs = fitsWithoutOthers ? inFlightRetryMs : untilReset;
  return { refusal: { type: "budget", need, available, retryAfterMs, state } };
}

function grantRate(
  kind: "requests" | "tokens",
  need: Need,
  state: ScopeState,
  nowMs: number,
  holdMs: number,
): bigint | Refused {
  const limit = need.limits[kind];
  if (limit === undefined) return need.want[kind];
  const asked = need.need[kind];
  if (asked === 0n) return 0n;
  const available = state.buckets.reduce((left, bucket) => left - bucket[kind], limit);
  if (asked <= available) return withSurplus(asked, need.want[kind], available, rateShare);
  const retryAfterMs = asked > limit ? undefined : waitFor(state.buckets, kind, asked - available, nowMs, holdMs);
  return { refusal: { type: kind, need, available, retryAfterMs, state } };
}

function grantSlots(need: Need, state: ScopeState): bigint | Refused {
  const limit = need.limits.parallel;
  if (limit === undefined) return need.want.parallel;
  const asked = need.need.parallel;
  const available = limit - state.others.parallel - state.own.parallel;
  if (asked <= available) return withSurplus(asked, need.want.parallel, available, moneyShare);
  if (asked === 0n && !state.ownExpired) return 0n;
  const retryAfterMs = asked > limit ? undefined : inFlightRetryMs;
  return { refusal: { type: "max_parallel_requests", need, available, retryAfterMs, state } };
}

function withSurplus(need: bigint, want: bigint, available: bigint, share: bigint): bigint {
  return need + min(max(want - need, 0n), (available - need) / share);
}
