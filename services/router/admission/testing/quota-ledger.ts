import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import {
  GrantSchema,
  type LeaseRequest,
  LeaseResponseSchema,
  type QuotaService,
  type ReleaseRequest,
  ReleaseResponseSchema,
  type ScopeNeed,
} from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import type { UsageRecorded } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { ScopeLimits } from "#gen/sluice/inference/v1/limits_pb.ts";

interface Lease {
  nano: bigint;
  parallel: number;
  expiresAt: number;
}

interface Part {
  requests: number;
  tokens: number;
}

class Scope {
  limits: ScopeLimits;
  spent = 0n;
  readonly leases = new Map<string, Lease>();
  readonly window = new Map<number, Part>();

  constructor(limits: ScopeLimits) {
    this.limits = limits;
  }

  live(now: number): Lease[] {
    return [...this.leases.values()].filter(({ expiresAt }) => expiresAt > now);
  }

  used(now: number): Part {
    const sum = { requests: 0, tokens: 0 };
    for (const [at, part] of this.window) {
      if (at + 60_000 <= now) continue;
      sum.requests += part.requests;
      sum.tokens += part.tokens;
    }
    return sum;
  }
}

/** Accounting in memory, as its contract says: what tests of the router lease from and settle with. */
export class QuotaLedger {
  readonly scopes = new Map<string, Scope>();
  readonly rows = new Map<string, UsageRecorded>();
  readonly calls = { lease: 0, release: 0 };
  ttlMs = 30_000;
  rateTtlMs = 5000;
  /** The part of what is available beyond the need that one grant may take. */
  share = 8n;
  /** While set, nothing answers. */
  down = false;
  /** While set, everything is done and no answer arrives. */
  mute = false;
  /** How many leases asked for more than accounting takes for possible. */
  absurd = 0;
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  get implementation(): ServiceImpl<typeof QuotaService> {
    return {
      lease: (request) => {
        this.calls.lease += 1;
        if (this.down) throw new ConnectError("down", Code.Unavailable);
        return this.#answer(this.#lease(request));
      },
      release: (request) => {
        this.calls.release += 1;
        if (this.down) throw new ConnectError("down", Code.Unavailable);
        return this.#answer(this.#release(request));
      },
    };
  }

  #answer<T>(answer: T): T {
    if (this.mute) throw new ConnectError("the answer got lost", Code.Unavailable);
    return answer;
  }

  /** Charges records, each once. */
  settle(records: readonly UsageRecorded[]): void {
    for (const record of records) {
      if (this.rows.has(record.recordId)) continue;
      this.rows.set(record.recordId, record);
      for (const { scope: name, consumed, leasedAt, leasedTokens } of record.settlements) {
        const scope = this.scopes.get(name);
        if (scope === undefined || consumed === undefined) continue;
        scope.spent += consumed.nanoUsd;
        const lease = scope.leases.get(record.leaseOwner);
        if (lease !== undefined) lease.nano = most(0n, lease.nano - consumed.nanoUsd);
        const part = leasedAt === undefined ? undefined : scope.window.get(timestampMs(leasedAt));
        if (part !== undefined && leasedTokens !== undefined) part.tokens += Number(consumed.tokens - leasedTokens);
      }
    }
  }

  reserved(name: string): bigint {
    return (this.scopes.get(name)?.live(this.#clock()) ?? []).reduce((sum, { nano }) => sum + nano, 0n);
  }

  slots(name: string): number {
    return (this.scopes.get(name)?.live(this.#clock()) ?? []).reduce((sum, { parallel }) => sum + parallel, 0);
  }

  spent(name: string): bigint {
    return this.scopes.get(name)?.spent ?? 0n;
  }

  used(name: string): Part {
    return this.scopes.get(name)?.used(this.#clock()) ?? { requests: 0, tokens: 0 };
  }

  /** What must hold at every moment: nothing is promised or spent beyond a limit. */
  violations(): string[] {
    const now = this.#clock();
    return [...this.scopes.values()].flatMap((scope) => {
      const { scope: name, maxBudgetNanoUsd, rpmLimit, tpmLimit, maxParallelRequests } = scope.limits;
      const used = scope.used(now);
      return [
        ...over(`${name} budget`, scope.spent + this.reserved(name), maxBudgetNanoUsd),
        ...over(`${name} requests`, used.requests, rpmLimit),
        ...over(`${name} tokens`, used.tokens, tpmLimit),
        ...over(`${name} parallel`, this.slots(name), maxParallelRequests),
      ];
    });
  }

  #lease({ owner, scopes }: LeaseRequest) {
    for (const need of scopes) {
      const { nanoUsd = 0n, tokens = 0n } = need.need ?? {};
      if (nanoUsd > 10n ** 15n || tokens > 10n ** 12n) {
        this.absurd += 1;
        throw gatewayError(Reason.INVALID_REQUEST, "an amount is too large");
      }
      if (need.empty) this.#dropExpired(owner, need);
      this.#check(owner, need);
    }
    return create(LeaseResponseSchema, { grants: scopes.map((need) => this.#grant(owner, need)) });
  }

  #dropExpired(owner: string, { limits }: ScopeNeed): void {
    const { leases } = this.#scope(limits);
    const own = leases.get(owner);
    if (own !== undefined && own.expiresAt <= this.#clock()) leases.delete(owner);
  }

  #scope(limits: ScopeLimits | undefined): Scope {
    if (limits === undefined) throw new Error("a need without limits");
    const scope = this.scopes.get(limits.scope) ?? new Scope(limits);
    scope.limits = limits;
    this.scopes.set(limits.scope, scope);
    return scope;
  }

  #budgetLeft(owner: string, scope: Scope): bigint | undefined {
    const limit = scope.limits.maxBudgetNanoUsd;
    if (limit === undefined) return undefined;
    const now = this.#clock();
    const own = scope.leases.get(owner);
    const resurrected = own !== undefined && own.expiresAt <= now ? own.nano : 0n;
    return limit - scope.spent - scope.live(now).reduce((sum, { nano }) => sum + nano, 0n) - resurrected;
  }

  #check(owner: string, need: ScopeNeed): void {
    const scope = this.#scope(need.limits);
    const now = this.#clock();
    const { requests, tokens } = scope.used(now);
    const wanted = need.need;
    if (wanted === undefined) throw new Error("a scope without need");
    const left = this.#budgetLeft(owner, scope);
    const partial =
      need.partial &&
      left !== undefined &&
      left > 0n &&
      scope.live(now).every((lease) => lease.nano === 0n || lease === scope.leases.get(owner));
    if (left !== undefined && wanted.nanoUsd > left && !partial) throw refused(Reason.BUDGET_EXCEEDED, "budget");
    const { rpmLimit, tpmLimit, maxParallelRequests } = scope.limits;
    if (rpmLimit !== undefined && requests + Number(wanted.requests) > rpmLimit)
      throw refused(Reason.RATE_LIMITED, "requests");
    if (tpmLimit !== undefined && tokens + Number(wanted.tokens) > Number(tpmLimit))
      throw refused(Reason.RATE_LIMITED, "tokens");
    const own = scope.leases.get(owner);
    const resurrected = own !== undefined && own.expiresAt <= now ? own.parallel : 0;
    const slots = this.slots(scope.limits.scope) + resurrected;
    if (maxParallelRequests !== undefined && slots + Number(wanted.parallel) > maxParallelRequests) {
      throw refused(Reason.RATE_LIMITED, "max_parallel_requests");
    }
  }

  #grant(owner: string, { limits, need, want }: ScopeNeed) {
    const scope = this.#scope(limits);
    const now = this.#clock();
    const used = scope.used(now);
    const part = (left: bigint | undefined, needed = 0n, wanted = 0n) =>
      left === undefined ? needed : least(left, most(needed, least(wanted, needed + (left - needed) / this.share)));
    const { rpmLimit, tpmLimit, maxParallelRequests } = scope.limits;
    const granted = {
      nanoUsd: part(this.#budgetLeft(owner, scope), need?.nanoUsd, want?.nanoUsd),
      requests: part(left(rpmLimit, used.requests), need?.requests, want?.requests),
      tokens: part(left(tpmLimit, used.tokens), need?.tokens, want?.tokens),
      parallel: part(left(maxParallelRequests, this.slots(scope.limits.scope)), need?.parallel, want?.parallel),
    };
    const lease = scope.leases.get(owner) ?? { nano: 0n, parallel: 0, expiresAt: 0 };
    lease.nano += granted.nanoUsd;
    lease.parallel += Number(granted.parallel);
    lease.expiresAt = now + this.ttlMs;
    scope.leases.set(owner, lease);
    const bucket = scope.window.get(now) ?? { requests: 0, tokens: 0 };
    bucket.requests += Number(granted.requests);
    bucket.tokens += Number(granted.tokens);
    scope.window.set(now, bucket);
    return create(GrantSchema, {
      scope: scope.limits.scope,
      granted,
      expiresAt: timestampFromMs(lease.expiresAt),
      rateExpiresAt: timestampFromMs(now + this.rateTtlMs),
      leasedAt: timestampFromMs(now),
    });
  }

  #release({ owner, scopes, all }: ReleaseRequest) {
    for (const { scope: name, unused, leasedAt } of scopes) {
      const scope = this.scopes.get(name);
      const lease = scope?.leases.get(owner);
      if (scope === undefined || unused === undefined) continue;
      if (lease !== undefined) {
        lease.nano = most(0n, lease.nano - unused.nanoUsd);
        lease.parallel = Math.max(0, lease.parallel - Number(unused.parallel));
      }
      const part = leasedAt === undefined ? undefined : scope.window.get(timestampMs(leasedAt));
      if (part === undefined) continue;
      part.requests -= Number(unused.requests);
      part.tokens -= Number(unused.tokens);
    }
    if (all) for (const scope of this.scopes.values()) scope.leases.delete(owner);
    return create(ReleaseResponseSchema);
  }
}

function left(limit: number | bigint | undefined, used: number): bigint | undefined {
  return limit === undefined ? undefined : BigInt(limit) - BigInt(used);
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function over(what: string, value: number | bigint, limit: number | bigint | undefined): string[] {
  return limit !== undefined && value > limit ? [`${what}: ${value} > ${limit}`] : [];
}

function refused(reason: Reason, limitType: string): ConnectError {
  return gatewayError(reason, `${limitType} exceeded`, { limitType });
}
