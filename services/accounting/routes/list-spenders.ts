import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import {
  ListSpendersResponseSchema,
  ScopeSpendSchema,
  type SpendService,
} from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AccountingContext } from "../context.ts";
import { readTopLedgers } from "../db/quota-rows.ts";

const most = 1000;

/** The dearest scopes of a kind. A window that is over counts as reset, whether anybody wrote that down yet or not. */
export function listSpendersRoute({
  database,
  clock,
}: AccountingContext): ServiceImpl<typeof SpendService>["listSpenders"] {
  return async ({ kind, limit }) => {
    if (!/^[a-z_]{1,32}$/.test(kind))
      throw gatewayError(Reason.INVALID_REQUEST, "not a kind of scopes", { param: "kind" });
    if (limit < 1 || limit > most) {
      throw gatewayError(Reason.INVALID_REQUEST, `1 to ${most} scopes`, { param: "limit" });
    }
    try {
      const ledgers = await readTopLedgers(database.em(), kind, clock(), limit);
      const spends = [...ledgers].map(([scope, { spent, window }]) =>
        create(ScopeSpendSchema, {
          scope,
          spentNanoUsd: spent,
          resetsAt: window.endMs === undefined ? undefined : timestampFromMs(window.endMs),
        }),
      );
      return create(ListSpendersResponseSchema, { spends });
    } catch (error) {
      throw databaseError(error);
    }
  };
}
