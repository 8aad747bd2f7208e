import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AccountingContext } from "../context.ts";
import { deleteLedgers } from "../db/quota-rows.ts";
import { readScope } from "../lease-request.ts";

const maxScopes = 1000;

export function forgetSpendRoute({
  database,
  clock,
}: AccountingContext): ServiceImpl<typeof SpendService>["forgetSpend"] {
  return async ({ scopes }) => {
    if (scopes.length > maxScopes) {
      throw gatewayError(Reason.INVALID_REQUEST, `scopes may name ${maxScopes} scopes`, { param: "scopes" });
    }
    const named = scopes.map(readScope);
    try {
      if (named.length > 0) await deleteLedgers(database.em(), named, clock());
      return {};
    } catch (error) {
      throw databaseError(error);
    }
  };
}
