import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { BudgetService } from "#gen/sluice/auth/v1/budget_service_pb.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { budgetKind, budgetView } from "../../budgets.ts";
import type { RouteContext } from "../../context.ts";
import { Budget } from "../../db/entities.ts";
import { notFound, requireId } from "../../kind.ts";
import { readDoc } from "../../stored-doc.ts";

const most = 1000;

export function getBudgets({ database }: RouteContext): ServiceImpl<typeof BudgetService>["getBudgets"] {
  return async ({ budgets }) => {
    if (budgets.length === 0) {
      throw gatewayError(Reason.INVALID_REQUEST, "Name at least one budget.", { param: "budgets" });
    }
    const rows = await database.em().find(Budget, budgetKind.where(budgets)).catch(failed);
    return { budgets: rows.map(budgetView) };
  };
}

export function listBudgets({ database }: RouteContext): ServiceImpl<typeof BudgetService>["listBudgets"] {
  return async () => {
    const order = { orderBy: { createdAt: "desc", budgetId: "asc" }, limit: most } as const;
    const rows = await database.em().find(Budget, {}, order).catch(failed);
    return { budgets: rows.map(budgetView) };
  };
}

/** LiteLLM's names of a budget's fields, as its own answer describes them; amounts in US dollars. */
const fields: readonly [name: string, type: string, about: string, value: (limits: Limits) => unknown][] = [
  ["max_budget", "Float", "What may be spent in a budget window.", ({ maxBudget }) => dollars(maxBudget)],
  ["soft_budget", "Float", "What is reported when it is spent.", ({ softBudget }) => dollars(softBudget)],
  ["budget_duration", "String", "The length of the budget window.", (limits) => limits.budgetDuration],
  ["tpm_limit", "Integer", "Tokens in any 60 seconds.", ({ tpmLimit }) => count(tpmLimit)],
  ["rpm_limit", "Integer", "Requests in any 60 seconds.", ({ rpmLimit }) => count(rpmLimit)],
  [
    "max_parallel_requests",
    "Integer",
    "Calls in flight at once.",
    ({ maxParallelRequests }) => count(maxParallelRequests),
  ],
];

export function getBudgetSettings({ database }: RouteContext): ServiceImpl<typeof BudgetService>["getBudgetSettings"] {
  return async ({ budgetId }) => {
    const row = await database
      .em()
      .findOne(Budget, { budgetId: requireId(budgetKind, budgetId) })
      .catch(failed);
    if (row === null) throw notFound(budgetKind, [budgetId]);
    const limits = readDoc(LimitsSchema, row.doc);
    const described = fields.map(([name, type, about, value]) => ({
      field_name: name,
      field_type: type,
      field_description: about,
      field_value: value(limits) ?? null,
      stored_in_db: value(limits) !== undefined,
      field_default_value: null,
    }));
    return { fields: Buffer.from(JSON.stringify(described)) };
  };
}

function dollars(nano: bigint | undefined): number | undefined {
  return nano === undefined ? undefined : Number(nano) / 1e9;
}

function count(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function failed(error: unknown): never {
  throw databaseError(error);
}
