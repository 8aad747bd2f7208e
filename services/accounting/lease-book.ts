import type { Quantities } from "./amounts.ts";
import { decide, type Holding, type Refusal, type ScopeState } from "./grant.ts";
import type { LeaseNeed, ReadLease } from "./lease-request.ts";
import { type Ledger, withDuration } from "./ledger.ts";
import { bucketStart, type RateBucket } from "./rate-window.ts";
import type { TimeZone } from "./time-zone.ts";

/** What one owner holds of one scope. */
export interface Wallet extends Holding {
  readonly expired: boolean;
}

/** Scopes as they were read under their locks. Wallets are keyed by owner. */
export interface LockedScopes {
  readonly ledgers: ReadonlyMap<string, Ledger>;
  readonly wallets: ReadonlyMap<string, ReadonlyMap<string, Wallet>>;
  readonly buckets: ReadonlyMap<string, readonly RateBucket[]>;
}

/** One wallet's top-up. */
export interface LeaseIncrease {
  readonly owner: string;
  readonly scope: string;
  readonly nanoUsd: bigint;
  readonly parallel: bigint;
}

export type LeaseOutcome = { readonly nowMs: number } & (
  | {
      readonly granted: ReadonlyMap<string, Quantities>;
      /** The ledgers of scopes with a soft budget. */
      readonly watched: ReadonlyMap<LeaseNeed, Ledger>;
    }
  | { readonly refusal: Refusal }
);

const emptyLedger: Ledger = { spent: 0n, window: { startMs: 0, endMs: undefined }, duration: "" };
const emptyWallet: Wallet = { nanoUsd: 0n, parallel: 0n, expired: false };

/**
 * Decides leases one after another on scopes that are locked, each on what the ones before left. Pure: it collects what
 * the caller then writes.
 */
export class LeaseBook {
  readonly #nowMs: number;
  readonly #holdMs: number;
  readonly #zone: TimeZone;
  readonly #ledgers: Map<string, Ledger>;
  readonly #wallets: Map<string, Map<string, Wallet>>;
  readonly #buckets: Map<string, RateBucket[]>;
  /** What is to be written. */
  readonly changedLedgers = new Map<string, Ledger>();
  readonly increases = new Map<string, LeaseIncrease>();
  /** What expired wallets count that their owners do not hold; taken away before the increases. */
  readonly lost: LeaseIncrease[] = [];
  readonly rates = new Map<string, Quantities>();

  constructor(scopes: LockedScopes, nowMs: number, holdMs: number, zone: TimeZone) {
    this.#nowMs = nowMs;
    this.#holdMs = holdMs;
    this.#zone = zone;
    this.#ledgers = new Map(scopes.ledgers);
    this.#wallets = new Map([...scopes.wallets].map(([scope, wallets]) => [scope, new Map(wallets)]));
    this.#buckets = new Map([...scopes.buckets].map(([scope, buckets]) => [scope, [...buckets]]));
  }

  /** Grants every scope of a request, or refuses it and changes nothing. */
  apply({ owner, needs }: ReadLease): LeaseOutcome {
    const nowMs = this.#nowMs;
    const granted = new Map<string, Quantities>();
    const states = new Map<LeaseNeed, ScopeState>();
    for (const need of needs) {
      const state = this.#stateFor(need, owner);
      const decision = decide(need, state, nowMs, this.#holdMs);
      if ("refusal" in decision) return { nowMs, refusal: decision.refusal };
      granted.set(need.scope, decision.granted);
      states.set(need, state);
    }
    const watched = new Map<LeaseNeed, Ledger>();
    for (const [need, state] of states) {
      if (need.softBudget !== undefined) watched.set(need, state.ledger);
      const amounts = granted.get(need.scope);
      if (amounts !== undefined) this.#add(owner, need, state, amounts);
    }
    return { nowMs, granted, watched };
  }

  #stateFor(need: LeaseNeed, owner: string): ScopeState {
    const current = this.#ledgers.get(need.scope) ?? emptyLedger;
    const ledger = withDuration(current, need.budgetDuration, need.budgetStartMs, this.#nowMs, this.#zone);
    const wallets = this.#wallets.get(need.scope);
    const stored = wallets?.get(owner) ?? emptyWallet;
    const own = need.empty && stored.expired ? emptyWallet : stored;
    let nanoUsd = 0n;
    let parallel = 0n;
    let shared = false;
    for (const [other, wallet] of wallets ?? []) {
      if (other === owner || wallet.expired) continue;
      nanoUsd += wallet.nanoUsd;
      parallel += wallet.parallel;
      shared = true;
    }
    const buckets = this.#buckets.get(need.scope) ?? [];
    return { ledger, own, ownExpired: own.expired, others: { nanoUsd, parallel }, shared, buckets };
  }

  #add(owner: string, need: LeaseNeed, state: ScopeState, amounts: Quantities): void {
    const { scope } = need;
    if (state.ledger !== this.#ledgers.get(scope)) {
      this.#ledgers.set(scope, state.ledger);
      this.changedLedgers.set(scope, state.ledger);
    }
    const wallets = this.#wallets.get(scope) ?? new Map<string, Wallet>();
    const stored = wallets.get(owner);
    if (stored !== undefined && state.own !== stored) {
      this.lost.push({ owner, scope, nanoUsd: stored.nanoUsd, parallel: stored.parallel });
    }
    wallets.set(owner, {
      nanoUsd: state.own.nanoUsd + amounts.nanoUsd,
      parallel: state.own.parallel + amounts.parallel,
      expired: false,
    });
    this.#wallets.set(scope, wallets);
    const id = `${owner} ${scope}`;
    const before = this.increases.get(id);
    this.increases.set(id, {
      owner,
      scope,
      nanoUsd: (before?.nanoUsd ?? 0n) + amounts.nanoUsd,
      parallel: (before?.parallel ?? 0n) + amounts.parallel,
    });
    if (hasRateLimit(need) && (amounts.requests > 0n || amounts.tokens > 0n)) this.#count(scope, amounts);
  }

  #count(scope: string, amounts: Quantities): void {
    const buckets = this.#buckets.get(scope) ?? [];
    buckets.push({ startMs: bucketStart(this.#nowMs), requests: amounts.requests, tokens: amounts.tokens });
    this.#buckets.set(scope, buckets);
    const sum = this.rates.get(scope);
    this.rates.set(scope, {
      nanoUsd: 0n,
      parallel: 0n,
      requests: (sum?.requests ?? 0n) + amounts.requests,
      tokens: (sum?.tokens ?? 0n) + amounts.tokens,
    });
  }
}

export function hasRateLimit({ limits }: LeaseNeed): boolean {
  return limits.requests !== undefined || limits.tokens !== undefined;
}
