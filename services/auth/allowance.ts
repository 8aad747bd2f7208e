import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import type { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { budgetsOf } from "./budgets.ts";
import { withBudget } from "./limit-scopes.ts";
import { modelsBeyond } from "./model-lists.ts";

/** What somebody may: models and limits, as they are stored. */
export interface Allowance {
  readonly models: readonly string[];
  readonly limits?: Limits | undefined;
}

/** The limits that are compared, with LiteLLM's names. */
const comparable = [
  ["max_budget", "maxBudget"],
  ["tpm_limit", "tpmLimit"],
  ["rpm_limit", "rpmLimit"],
  ["max_parallel_requests", "maxParallelRequests"],
] as const;

/** How a refusal is worded, and what it is. */
export interface AllowanceRefusal {
  readonly reason: Reason;
  /** Who allows, `the organization` for example. */
  readonly of: string;
}

/**
 * Checks that somebody may no more than somebody above: each limit that both have, and the models. What the inner one
 * leaves open follows the outer one.
 *
 * @throws the reason given, naming the field that exceeds.
 */
export async function requireWithin(
  em: SqlEntityManager,
  outer: Allowance,
  inner: Allowance,
  refusal: AllowanceRefusal,
): Promise<void> {
  const [beyond] = await modelsBeyond(em, outer.models, inner.models);
  if (beyond !== undefined) throw exceeds("models", `'${beyond}' is not among the models of ${refusal.of}.`, refusal);
  const [outerLimits, innerLimits] = await wholeLimits(em, outer, inner);
  for (const [name, field] of comparable) {
    const most = outerLimits[field];
    if (most !== undefined && (innerLimits[field] ?? 0n) > most) {
      throw exceeds(name, `${name} is above that of ${refusal.of}.`, refusal);
    }
  }
}

/**
 * Checks that a change gives nobody more than before: what was bounded stays bounded, and at no more.
 *
 * @throws the reason given, naming the field that exceeds.
 */
export async function requireNoMore(
  em: SqlEntityManager,
  before: Allowance,
  after: Allowance,
  refusal: AllowanceRefusal,
): Promise<void> {
  await requireWithin(em, before, after, refusal);
  if (before.models.length > 0 && after.models.length === 0) {
    throw exceeds("models", `without models it may use more than ${refusal.of} allows.`, refusal);
  }
  const [old, now] = await wholeLimits(em, before, after);
  for (const [name, field] of comparable) {
    if (old[field] !== undefined && now[field] === undefined) {
      throw exceeds(name, `${name} cannot be lifted: ${refusal.of} has one.`, refusal);
    }
  }
}

async function wholeLimits(em: SqlEntityManager, first: Allowance, second: Allowance): Promise<[Limits, Limits]> {
  const budgets = await budgetsOf(em, [first.limits, second.limits]);
  const whole = ({ limits }: Allowance) => withBudget(limits, budgets) ?? create(LimitsSchema);
  return [whole(first), whole(second)];
}

function exceeds(param: string, message: string, { reason }: AllowanceRefusal) {
  return gatewayError(reason, message, { param });
}
