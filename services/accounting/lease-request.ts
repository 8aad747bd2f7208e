import { timestampMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { LeaseRequest, ReleaseRequest, ScopeNeed } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Quantities, readAmounts, readWant } from "./amounts.ts";
import type { Need } from "./grant.ts";

const maxScopes = 1000;
/** A member's scope has two names, escaped. */
const maxScopeLength = 2048;
const maxOwnerLength = 128;

/** One scope of a lease with what only the ledger needs to know. */
export interface LeaseNeed extends Need {
  readonly budgetDuration: string;
  /** What is reported when it is spent, billionths of a US dollar. */
  readonly softBudget: bigint | undefined;
  /** When the first window began; other windows are counted from there. */
  readonly budgetStartMs: number;
  /** The owner holds nothing of the scope. */
  readonly empty: boolean;
}

export interface ReadLease {
  readonly owner: string;
  readonly needs: readonly LeaseNeed[];
}

/** Checks a lease request. Throws INVALID_ARGUMENT that names the field. */
export function readLease(request: LeaseRequest): ReadLease {
  const owner = readOwner(request.owner);
  const needs = request.scopes.map(readNeed);
  if (needs.length === 0 || needs.length > maxScopes) throw invalid("scopes", `1 to ${maxScopes} scopes are needed`);
  if (new Set(needs.map((need) => need.scope)).size < needs.length) throw invalid("scopes", "a scope is listed twice");
  return { owner, needs };
}

export interface Return {
  readonly scope: string;
  readonly unused: Quantities;
  readonly leasedAtMs: number | undefined;
}

/** Checks a release request. Throws INVALID_ARGUMENT that names the field. */
export function readRelease(request: ReleaseRequest): { owner: string; returns: readonly Return[]; all: boolean } {
  if (request.scopes.length > maxScopes) throw invalid("scopes", `at most ${maxScopes} scopes`);
  const returns = request.scopes.map((entry) => {
    const unused = readAmounts(entry.unused);
    if (unused === undefined) throw invalid("unused", "an amount is negative or too large");
    const leasedAtMs = entry.leasedAt === undefined ? undefined : timestampMs(entry.leasedAt);
    return { scope: readScope(entry.scope), unused, leasedAtMs };
  });
  return { owner: readOwner(request.owner), returns, all: request.all };
}

function readNeed(entry: ScopeNeed): LeaseNeed {
  const { limits } = entry;
  const scope = readScope(limits?.scope ?? "");
  const need = readAmounts(entry.need);
  if (need === undefined) throw invalid("need", `an amount for ${scope} is negative or too large`);
  const budgetDuration = limits?.budgetDuration ?? "";
  try {
    if (budgetDuration !== "") parseDuration(budgetDuration);
  } catch (cause) {
    throw invalid("budget_duration", cause instanceof Error ? cause.message : "not a duration");
  }
  return {
    scope,
    limits: {
      budgetNanoUsd: limits?.maxBudgetNanoUsd,
      requests: optionalBigInt(limits?.rpmLimit),
      tokens: limits?.tpmLimit,
      parallel: optionalBigInt(limits?.maxParallelRequests),
    },
    need,
    want: readWant(entry.want, need),
    partial: entry.partial,
    empty: entry.empty,
    budgetDuration,
    softBudget: limits?.softBudgetNanoUsd,
    budgetStartMs: limits?.budgetStart === undefined ? 0 : timestampMs(limits.budgetStart),
  };
}

function optionalBigInt(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(value);
}

function readOwner(owner: string): string {
  if (owner === "" || owner.length > maxOwnerLength || owner.includes("\0")) throw invalid("owner", "not an owner");
  return owner;
}

/** Checks the name of a scope. */
export function readScope(scope: string): string {
  if (scope === "" || scope.length > maxScopeLength || scope.includes("\0") || !scope.isWellFormed()) {
    throw invalid("scope", "not a scope");
  }
  return scope;
}

function invalid(param: string, message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param });
}
