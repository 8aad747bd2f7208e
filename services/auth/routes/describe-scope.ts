import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { CustomerSettingsSchema } from "#gen/sluice/auth/v1/customer_pb.ts";
import type { Limits } from "#gen/sluice/auth/v1/limits_pb.ts";
import { TagSettingsSchema } from "#gen/sluice/auth/v1/tag_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "../context.ts";
import { Budget, Customer, Tag } from "../db/entities.ts";
import { limitScopes, withBudget } from "../limit-scopes.ts";
import { readDoc } from "../stored-doc.ts";
import { isBounded } from "../team-members.ts";

export function describeScope(context: RouteContext): ServiceImpl<typeof AuthService>["describeScope"] {
  const { database, telemetry } = context;
  const { customer: usual } = context.config.tenancyRules;
  return async ({ scope }) => {
    const colon = scope.indexOf(":");
    const kind = scope.slice(0, colon);
    const name = scope.slice(colon + 1);
    if (kind !== "customer" && kind !== "tag") {
      throw gatewayError(Reason.INVALID_REQUEST, "scope must name a customer or a tag.", { param: "scope" });
    }
    // Names come from callers: what the database cannot keep, nobody has described.
    if (name.includes("\0") || !name.isWellFormed()) return {};
    try {
      return kind === "customer" ? await describeCustomer(scope, name) : await describeTag(scope, name);
    } catch (error) {
      throw databaseError(error);
    }
  };

  async function describeCustomer(scope: string, customerId: string) {
    const row = await database.em().findOne(Customer, { customerId });
    const { limits, blocked } =
      row === null ? create(CustomerSettingsSchema) : readDoc(CustomerSettingsSchema, row.doc);
    const own = limits !== undefined && isBounded(limits);
    if (row === null && usual === undefined) return {};
    const whole = await complete(own ? limits : usual);
    if (!own && whole?.budgetId !== undefined && whole === usual) telemetry.customerBudgetMissing(whole.budgetId);
    return { scopes: limitScopes(scope, whole, row?.createdAt ?? new Date(0)), blocked: blocked ?? false };
  }

  async function describeTag(scope: string, tagName: string) {
    const row = await database.em().findOne(Tag, { tagName });
    if (row === null) return {};
    const { limits, models } = readDoc(TagSettingsSchema, row.doc);
    return { scopes: limitScopes(scope, await complete(limits), row.createdAt), models };
  }

  async function complete(limits: Limits | undefined): Promise<Limits | undefined> {
    if (limits?.budgetId === undefined) return limits;
    const budget = await database.em().findOne(Budget, { budgetId: limits.budgetId });
    return withBudget(limits, new Map(budget === null ? [] : [[budget.budgetId, budget]]));
  }
}
