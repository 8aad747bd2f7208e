import { type Implementation, implement } from "#chassis/service.ts";
import { BudgetService } from "#gen/sluice/auth/v1/budget_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { createBudget, deleteBudget, updateBudget } from "./change-budget.ts";
import { getBudgetSettings, getBudgets, listBudgets } from "./read-budgets.ts";

export function budgetRoutes(context: RouteContext): Implementation {
  return implement(BudgetService, {
    createBudget: createBudget(context),
    updateBudget: updateBudget(context),
    getBudgets: getBudgets(context),
    listBudgets: listBudgets(context),
    getBudgetSettings: getBudgetSettings(context),
    deleteBudget: deleteBudget(context),
  });
}
