import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { type CustomerSettings, CustomerSettingsSchema } from "#gen/sluice/auth/v1/customer_pb.ts";
import { type Customer as CustomerMessage, CustomerSchema } from "#gen/sluice/auth/v1/customer_service_pb.ts";
import { budgetsOf, limitsView } from "./budgets.ts";
import type { RouteContext } from "./context.ts";
import { Customer, type CustomerRow } from "./db/entities.ts";
import type { Kind } from "./kind.ts";
import { scopeOf } from "./scope.ts";
import { spentBy } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";

export const customerKind: Kind<CustomerRow, typeof CustomerSettingsSchema> = {
  label: "Customer",
  param: "user_id",
  entity: Customer,
  settings: CustomerSettingsSchema,
  where: (ids) => ({ customerId: { $in: [...ids] } }),
};

/** Customers as an administrator sees them, with what they spent. */
export async function customerViews(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly CustomerRow[],
): Promise<CustomerMessage[]> {
  const settings = rows.map(({ doc }): CustomerSettings => readDoc(CustomerSettingsSchema, doc));
  const budgets = await budgetsOf(
    em,
    settings.map(({ limits }) => limits),
  );
  const spends = await spentBy(
    context,
    rows.map(({ customerId }) => scopeOf.customer(customerId)),
  );
  return rows.map(({ customerId }, at) => {
    const own = settings[at] ?? create(CustomerSettingsSchema);
    own.blocked ??= false;
    return create(CustomerSchema, {
      userId: customerId,
      settings: own,
      spend: spends[at]?.spent ?? 0n,
      budgetResetAt: spends[at]?.resetsAt,
      litellmBudgetTable: limitsView(own.limits, budgets),
    });
  });
}
