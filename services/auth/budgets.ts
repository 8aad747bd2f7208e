import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { type Budget as BudgetMessage, BudgetSchema } from "#gen/sluice/auth/v1/budget_service_pb.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Budget, type BudgetRow } from "./db/entities.ts";
import type { Kind } from "./kind.ts";
import { withBudget } from "./limit-scopes.ts";
import { scopeOf } from "./scope.ts";
import { readDoc } from "./stored-doc.ts";

export const budgetKind: Kind<BudgetRow, typeof LimitsSchema> = {
  label: "Budget",
  param: "budget_id",
  entity: Budget,
  settings: LimitsSchema,
  where: (ids) => ({ budgetId: { $in: [...ids] } }),
};

export function budgetView(row: BudgetRow): BudgetMessage {
  return create(BudgetSchema, {
    limits: readDoc(LimitsSchema, row.doc),
    budgetId: row.budgetId,
    createdAt: timestampFromDate(row.createdAt),
    createdBy: row.createdBy,
    updatedAt: timestampFromDate(row.updatedAt),
    updatedBy: row.updatedBy,
  });
}

/** What holds for something with limits: its own, completed by the budget that it refers to. */
export function limitsView(limits: Limits | undefined, budgets: ReadonlyMap<string, BudgetRow>): BudgetMessage {
  const row = limits?.budgetId === undefined ? undefined : budgets.get(limits.budgetId);
  const view = row === undefined ? create(BudgetSchema) : budgetView(row);
  const whole = withBudget(limits, budgets);
  if (whole !== undefined) view.limits = { ...whole };
  delete view.limits?.budgetId;
  return view;
}

/** The budgets that limits refer to, by id. */
export async function budgetsOf(
  em: SqlEntityManager,
  all: readonly (Limits | undefined)[],
): Promise<Map<string, BudgetRow>> {
  const ids = [...new Set(all.flatMap((limits) => limits?.budgetId ?? []))];
  const rows = ids.length === 0 ? [] : await em.find(Budget, budgetKind.where(ids));
  return new Map(rows.map((row) => [row.budgetId, row]));
}

/** @throws INVALID_REQUEST where limits refer to a budget that is not there. */
export async function requireBudget(em: SqlEntityManager, limits: Limits | undefined): Promise<void> {
  const { budgetId } = limits ?? {};
  if (limits !== undefined && budgetId === "") delete limits.budgetId;
  if (budgetId === undefined || budgetId === "") return;
  if ((await em.count(Budget, { budgetId })) > 0) return;
  throw gatewayError(Reason.INVALID_REQUEST, `There is no budget '${budgetId}'.`, { param: "budget_id" });
}

/** Tables whose documents have limits, with the columns of their ids, and the scopes of their rows. */
export const referrers = [
  ["virtual_key", "key_id", "key_id", (id: string) => scopeOf.key(id)],
  ["internal_user", "user_id", "user_id", (id: string) => scopeOf.user(id)],
  ["team", "team_id", "team_id", (id: string) => scopeOf.team(id)],
  ["team_member", "team_id", "user_id", (team: string, user: string) => scopeOf.member(team, user)],
  ["organization", "organization_id", "organization_id", (id: string) => scopeOf.organization(id)],
  [
    "organization_member",
    "organization_id",
    "user_id",
    (organization: string, user: string) => scopeOf.organizationMember(organization, user),
  ],
  ["project", "project_id", "project_id", (id: string) => scopeOf.project(id)],
  ["customer", "customer_id", "customer_id", (id: string) => scopeOf.customer(id)],
  ["tag", "tag_name", "tag_name", (id: string) => scopeOf.tag(id)],
] as const;

/** The scopes of everybody who refers to a budget. */
export async function scopesWithBudget(em: SqlEntityManager, budgetId: string): Promise<string[]> {
  const scopes: string[] = [];
  for (const [table, first, second, scope] of referrers) {
    const rows = await em.execute(
      `select ${first} as a, ${second} as b from auth.${table} where doc -> 'limits' ->> 'budgetId' = ?`,
      [budgetId],
    );
    for (const { a, b } of rows) scopes.push(scope(String(a), String(b)));
  }
  return scopes;
}
