import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import type { SpendReportService } from "#gen/sluice/auth/v1/spend_report_service_pb.ts";
import type { RouteContext } from "../context.ts";
import { User, VirtualKey } from "../db/entities.ts";
import { keyView } from "../key-view.ts";
import { nothingSpent, spenders } from "../scope-spend.ts";
import { userViews } from "../user-view.ts";

export function listKeySpend(context: RouteContext): ServiceImpl<typeof SpendReportService>["listKeySpend"] {
  return async () => {
    const found = await spenders(context, "key");
    try {
      const rows = await context.database.em().find(VirtualKey, { keyId: { $in: [...found.keys()] } });
      const keys = rows.map((row) => keyView(row, found.get(row.keyId) ?? nothingSpent));
      return { keys: keys.sort(dearestFirst) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function listUserSpend(context: RouteContext): ServiceImpl<typeof SpendReportService>["listUserSpend"] {
  return async ({ userId }) => {
    const userIds = userId === "" ? [...(await spenders(context, "user")).keys()] : [userId];
    try {
      const em = context.database.em();
      const rows = await em.find(User, { userId: { $in: userIds } });
      return { users: (await userViews(context, em, rows)).sort(dearestFirst) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

function dearestFirst(a: { readonly spend: bigint }, b: { readonly spend: bigint }): number {
  return a.spend === b.spend ? 0 : a.spend < b.spend ? 1 : -1;
}
