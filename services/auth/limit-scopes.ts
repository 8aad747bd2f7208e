import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { type ScopeLimits, ScopeLimitsSchema } from "#gen/sluice/inference/v1/limits_pb.ts";
import type { BudgetRow } from "./db/entities.ts";
import { scopeOf } from "./scope.ts";
import { readDoc } from "./stored-doc.ts";
import type { TenancyRules } from "./tenancy-rules.ts";

/**
 * The scopes that calls under one level count against: the level's own, one for every further budget window and one for
 * every model with limits of its own. The own scope is there without limits too: its spend is recorded.
 *
 * @param since When the level was made: its first budget window began then.
 */
export function limitScopes(scope: string, limits: Limits | undefined, since: Date): ScopeLimits[] {
  const budgetStart = timestampFromDate(since);
  const own = create(ScopeLimitsSchema, {
    scope,
    maxBudgetNanoUsd: limits?.maxBudget,
    softBudgetNanoUsd: limits?.softBudget,
    budgetDuration: limits?.budgetDuration ?? "",
    budgetStart,
    rpmLimit: wholeNumber(limits?.rpmLimit),
    tpmLimit: limits?.tpmLimit,
    maxParallelRequests: wholeNumber(limits?.maxParallelRequests),
  });
  if (limits === undefined) return [own];
  const windows = limits.budgetLimits.map(({ budgetDuration, maxBudget }) =>
    create(ScopeLimitsSchema, {
      scope: `${scope}|window:${budgetDuration}`,
      maxBudgetNanoUsd: maxBudget,
      budgetDuration,
      budgetStart,
    }),
  );
  const models = modelsOf(limits).map((model) => modelScope(scope, model, limits, since));
  return [own, ...windows, ...models];
}

/**
 * The scope that every call counts against, the master key's too, where the configuration file bounds what all of them
 * cost together. Its windows count from the epoch: replicas know of no other common beginning.
 */
export function gatewayScopes({ gateway }: TenancyRules): ScopeLimits[] {
  return gateway === undefined ? [] : limitScopes(scopeOf.gateway(), gateway, new Date(0));
}

function modelsOf(limits: Limits): string[] {
  const { modelMaxBudget, modelRpmLimit, modelTpmLimit } = limits;
  return [...new Set([modelMaxBudget, modelRpmLimit, modelTpmLimit].flatMap((each) => Object.keys(each)))];
}

function modelScope(scope: string, model: string, limits: Limits, since: Date): ScopeLimits {
  const budget = limits.modelMaxBudget[model];
  return create(ScopeLimitsSchema, {
    scope: `${scope}|model:${model}`,
    model,
    maxBudgetNanoUsd: budget?.maxBudget ?? budget?.budgetLimit,
    budgetDuration: budget?.budgetDuration ?? budget?.timePeriod ?? "",
    budgetStart: timestampFromDate(since),
    rpmLimit: wholeNumber(limits.modelRpmLimit[model] ?? budget?.rpmLimit),
    tpmLimit: limits.modelTpmLimit[model] ?? budget?.tpmLimit,
  });
}

/** Limits with what they leave open taken from the budget that they name. */
export function withBudget(limits: Limits | undefined, budgets: ReadonlyMap<string, BudgetRow>): Limits | undefined {
  const row = limits?.budgetId === undefined ? undefined : budgets.get(limits.budgetId);
  return limits === undefined || row === undefined ? limits : overlay(readDoc(LimitsSchema, row.doc), limits);
}

/** Limits with what they leave open taken from `base`. Their own values win, for each model too. */
export function overlay(base: Limits, own: Limits): Limits {
  return create(LimitsSchema, {
    ...base,
    ...own,
    modelMaxBudget: { ...base.modelMaxBudget, ...own.modelMaxBudget },
    modelRpmLimit: { ...base.modelRpmLimit, ...own.modelRpmLimit },
    modelTpmLimit: { ...base.modelTpmLimit, ...own.modelTpmLimit },
    budgetLimits: own.budgetLimits.length > 0 ? own.budgetLimits : base.budgetLimits,
  });
}

/** Counts fit a number: their fields allow no more than 2^31. */
function wholeNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
