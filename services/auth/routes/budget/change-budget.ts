import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import type { BudgetService } from "#gen/sluice/auth/v1/budget_service_pb.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { budgetKind, budgetView, scopesWithBudget } from "../../budgets.ts";
import { type Changed, change, createdBy } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { Budget, type BudgetRow } from "../../db/entities.ts";
import { insertThing, lockThing, requireId, updateThing } from "../../kind.ts";
import { scopeOf } from "../../scope.ts";
import { pathsUnder, writeDoc } from "../../stored-doc.ts";

export function createBudget(context: RouteContext): ServiceImpl<typeof BudgetService>["createBudget"] {
  return async ({ budgetId, limits }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const row: BudgetRow = {
      budgetId: budgetId || randomUUID(),
      doc: writeDoc(LimitsSchema, ownLimits(limits)),
      ...createdBy(caller, new Date(context.clock())),
    };
    await change(context, caller, async (em) => {
      await insertThing(em, budgetKind, row);
      return { result: undefined, changed: [{ scope: scopeOf.budget(row.budgetId), action: "created" }] };
    });
    return { budget: budgetView(row) };
  };
}

export function updateBudget(context: RouteContext): ServiceImpl<typeof BudgetService>["updateBudget"] {
  return async ({ budgetId, limits, updateMask, version }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const row = await change(context, caller, async (em) => {
      const locked = await lockThing(em, budgetKind, requireId(budgetKind, budgetId));
      const paths = pathsUnder("limits", updateMask?.paths);
      updateThing(budgetKind, locked, caller, new Date(context.clock()), {
        settings: ownLimits(limits),
        paths,
        version,
      });
      return { result: locked, changed: await changedWith(em, budgetId, "updated") };
    });
    return { budget: budgetView(row) };
  };
}

export function deleteBudget(context: RouteContext): ServiceImpl<typeof BudgetService>["deleteBudget"] {
  return async ({ id }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const row = await change(context, caller, async (em) => {
      const locked = await lockThing(em, { ...budgetKind, param: "id" }, id);
      await em.nativeDelete(Budget, { budgetId: id });
      return { result: locked, changed: await changedWith(em, id, "deleted") };
    });
    return { budget: budgetView(row) };
  };
}

/** Budgets do not refer to each other. */
function ownLimits(limits: Limits | undefined): Limits {
  const own = limits ?? create(LimitsSchema);
  delete own.budgetId;
  return own;
}

/** A budget and everybody who refers to it. */
async function changedWith(em: SqlEntityManager, budgetId: string, action: "updated" | "deleted"): Promise<Changed[]> {
  const referring = await scopesWithBudget(em, budgetId);
  return [
    { scope: scopeOf.budget(budgetId), action },
    ...referring.map((scope): Changed => ({ scope, action: "updated" })),
  ];
}
