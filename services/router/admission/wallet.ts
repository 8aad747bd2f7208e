import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Grant, ScopeReturn } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import type { ScopeLimits } from "#gen/sluice/inference/v1/limits_pb.ts";

/** Which quantities of a scope are limited, as a bit set. */
export const limited = { budget: 1, requests: 2, tokens: 4, parallel: 8 } as const;

export function limitsOf(scope: ScopeLimits): number {
  return (
    // A soft budget limits nothing, but accounting sees it only where money is leased.
    (scope.maxBudgetNanoUsd === undefined && scope.softBudgetNanoUsd === undefined ? 0 : limited.budget) |
    (scope.rpmLimit === undefined ? 0 : limited.requests) |
    (scope.tpmLimit === undefined ? 0 : limited.tokens) |
    (scope.maxParallelRequests === undefined ? 0 : limited.parallel)
  );
}

/** Whether any of the scopes has a budget that refuses calls. */
export function hasBudget(scopes: readonly ScopeLimits[]): boolean {
  return scopes.some(({ maxBudgetNanoUsd }) => maxBudgetNanoUsd !== undefined);
}

/** Requests and tokens of one grant. They belong to one part of the sliding window and are lost when it has passed. */
export interface Tranche {
  readonly leasedAt: Timestamp | undefined;
  readonly expiresAt: number;
  requests: number;
  tokens: number;
}

/** Tokens that a call took from one tranche. */
export interface TokenDraw {
  readonly tranche: Tranche;
  tokens: number;
}

/** What goes back to accounting, as `Release` takes it. */
export type Return = Pick<ScopeReturn, "scope" | "leasedAt"> & {
  readonly unused: { nanoUsd?: bigint; requests?: bigint; tokens?: bigint; parallel?: bigint };
};

/** A lease is not spent from in its last second: clocks differ and messages take time. */
const expiryMarginMs = 1000;
/** How long a refill of a busy wallet should last. Granted requests and tokens live for about twice as long. */
const refillLastsMs = 1000;
/** Demand is not read off a shorter time than this. */
const shortestDemandMs = 100;
/** A wallet that is refilled for fewer calls than this is not worth a lease ahead of time. */
const busyCalls = 16;

/**
 * What one router process may spend on one scope without asking, and what it has done with it. All amounts are unused:
 * a call takes its estimate out at its start and puts the difference back at its end.
 */
export class Wallet {
  readonly scope: string;
  limits: ScopeLimits;
  /** Nano-USD. Below zero where a call cost more than its estimate: the next lease brings that much more. */
  nano = 0n;
  /** Free slots. */
  parallel = 0;
  inFlight = 0;
  /** Records that ended and that the bus has not taken. Until then the lease must live. */
  unacked = 0;
  /** Calls that wait for a lease of this scope. */
  waiting = 0;
  /** Queues that hold on to this wallet. */
  pins = 0;
  /** Counts everything that came in, so that a refusal is forgotten when something did. */
  gains = 0;
  lastUsed: number;
  /** When the lease ends, in milliseconds since the epoch; 0 before the first. */
  expiresAt = 0;
  /** When the lease should be renewed if it is in use. */
  renewAt = 0;
  /** How many calls the last refill was for, when it was asked for, and the calls since. */
  #refillCalls = 1;
  #refilledAt = 0;
  #taken = 0;
  #tranches: Tranche[] = [];
  #returns: Return[] = [];

  constructor(limits: ScopeLimits, now: number) {
    this.scope = limits.scope;
    this.limits = limits;
    this.lastUsed = now;
  }

  isLive(now: number): boolean {
    return now < this.expiresAt - expiryMarginMs;
  }

  /** Whether nothing of the lease is left here and nothing that it pays for is under way. */
  get holdsNothing(): boolean {
    return (
      this.inFlight === 0 && this.unacked === 0 && this.nano <= 0n && this.parallel === 0 && this.#tranches.length === 0
    );
  }

  /** Whether it can be forgotten. */
  get isEmpty(): boolean {
    return this.holdsNothing && this.pins === 0 && this.nano === 0n && this.#returns.length === 0;
  }

  requests(now: number): number {
    this.#dropExpired(now);
    let sum = 0;
    for (const tranche of this.#tranches) sum += tranche.requests;
    return sum;
  }

  tokens(now: number): number {
    this.#dropExpired(now);
    let sum = 0;
    for (const tranche of this.#tranches) sum += tranche.tokens;
    return sum;
  }

  /** Whether a call fits. `kinds` are the limits that hold for it, a set of `limited`. */
  covers(kinds: number, nano: bigint, tokens: number, now: number): boolean {
    return (
      this.isLive(now) &&
      ((kinds & limited.budget) === 0 || this.nano >= nano) &&
      ((kinds & limited.parallel) === 0 || this.parallel >= 1) &&
      ((kinds & limited.requests) === 0 || this.requests(now) >= 1) &&
      ((kinds & limited.tokens) === 0 || this.tokens(now) >= tokens)
    );
  }

  /** Takes what a call needs. Only after `covers`. Returns where its tokens came from. */
  take(kinds: number, nano: bigint, tokens: number, now: number): TokenDraw[] | undefined {
    this.inFlight += 1;
    this.#taken += 1;
    this.lastUsed = now;
    if ((kinds & limited.budget) !== 0) this.nano -= nano;
    if ((kinds & limited.parallel) !== 0) this.parallel -= 1;
    if ((kinds & limited.requests) !== 0) this.#takeRequest();
    return (kinds & limited.tokens) === 0 ? undefined : this.#takeTokens(tokens);
  }

  #takeRequest(): void {
    const tranche = this.#tranches.find(({ requests }) => requests > 0);
    if (tranche !== undefined) tranche.requests -= 1;
  }

  #takeTokens(tokens: number): TokenDraw[] {
    const draws: TokenDraw[] = [];
    let missing = tokens;
    for (const tranche of this.#tranches) {
      if (missing <= 0) break;
      const taken = Math.min(missing, tranche.tokens);
      if (taken === 0) continue;
      tranche.tokens -= taken;
      missing -= taken;
      draws.push({ tranche, tokens: taken });
    }
    return draws;
  }

  /** Ends a call: its slot and `nano` come back; `nano` may be negative. */
  giveBack(kinds: number, nano: bigint, now: number): void {
    this.inFlight -= 1;
    this.lastUsed = now;
    this.gains += 1;
    if ((kinds & limited.budget) !== 0) this.nano += nano;
    if ((kinds & limited.parallel) !== 0) this.parallel += 1;
  }

  /** Puts unused tokens back where they came from. False where that part of the window has passed. */
  giveBackTokens(draw: TokenDraw, tokens: number, now: number): boolean {
    if (draw.tranche.expiresAt <= now || !this.#tranches.includes(draw.tranche)) return false;
    draw.tranche.tokens += tokens;
    draw.tokens -= tokens;
    return true;
  }

  /** Sends tokens back to accounting whose part of the window has passed here. */
  returnTokens(draw: TokenDraw): void {
    this.#returns.push({
      scope: this.scope,
      leasedAt: draw.tranche.leasedAt,
      unused: { tokens: BigInt(draw.tokens) },
    });
  }

  /** Adds what accounting granted. */
  add(grant: Grant, now: number): void {
    const { granted } = grant;
    this.expiresAt = grant.expiresAt === undefined ? 0 : timestampMs(grant.expiresAt);
    this.renewAt = now + Math.max(0, this.expiresAt - now) / 3;
    if (granted === undefined) return;
    this.gains += 1;
    this.nano += granted.nanoUsd;
    this.parallel += Number(granted.parallel);
    if (granted.requests === 0n && granted.tokens === 0n) return;
    this.#tranches.push({
      leasedAt: grant.leasedAt,
      expiresAt: grant.rateExpiresAt === undefined ? this.expiresAt : timestampMs(grant.rateExpiresAt),
      requests: Number(granted.requests),
      tokens: Number(granted.tokens),
    });
  }

  /**
   * How many calls the next refill should be for, beside those that wait: those of about a second, by the demand since
   * the last one.
   */
  refill(now: number): number {
    const since = now - this.#refilledAt;
    const demand = Math.ceil((this.#taken * refillLastsMs) / Math.max(since, shortestDemandMs));
    this.#refillCalls = Math.max(1, demand, since > refillLastsMs ? 1 : Math.floor(this.#refillCalls / 2));
    this.#refilledAt = now;
    this.#taken = 0;
    return this.#refillCalls;
  }

  /** Whether a busy wallet should be refilled now, so that its calls need not wait for a lease. */
  isLow(now: number): boolean {
    if (this.#refillCalls < busyCalls) return false;
    return this.#taken * 2 >= this.#refillCalls || now - this.#refilledAt >= refillLastsMs;
  }

  /**
   * An overdrawn wallet with nothing under way owes nothing any more: every cost is charged, and the lease of it was
   * used up.
   */
  forgetDebt(): void {
    if (this.inFlight === 0 && this.unacked === 0 && this.nano < 0n) this.nano = 0n;
  }

  /** Moves everything unused to the returns. */
  drain(now: number): void {
    this.#dropExpired(now);
    for (const tranche of this.#tranches) this.#returnTranche(tranche);
    this.#tranches = [];
    if (this.nano <= 0n && this.parallel === 0) return;
    const nanoUsd = this.nano > 0n ? this.nano : 0n;
    this.#returns.push({
      scope: this.scope,
      leasedAt: undefined,
      unused: { nanoUsd, parallel: BigInt(this.parallel) },
    });
    this.nano -= nanoUsd;
    this.parallel = 0;
  }

  /** Hands out the returns, which the caller must send. */
  takeReturns(now: number): readonly Return[] {
    this.#dropExpired(now);
    const returns = this.#returns;
    if (returns.length > 0) this.#returns = [];
    return returns;
  }

  #dropExpired(now: number): void {
    for (let first = this.#tranches[0]; first !== undefined && first.expiresAt <= now; first = this.#tranches[0]) {
      this.#tranches.shift();
      this.#returnTranche(first);
    }
  }

  #returnTranche({ leasedAt, requests, tokens }: Tranche): void {
    if (requests === 0 && tokens === 0) return;
    this.#returns.push({
      scope: this.scope,
      leasedAt,
      unused: { requests: BigInt(requests), tokens: BigInt(tokens) },
    });
  }
}
