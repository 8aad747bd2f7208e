import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { ListSpendLogsResponseSchema, type SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import type { AccountingContext } from "../context.ts";
import { findSpendLogs, sumSpendLogs } from "../db/spend-log-reads.ts";
import { daySumsJson, spendLogJson } from "../spend-log-json.ts";
import { readSpendLogQuery } from "../spend-log-query.ts";

/** Lists recorded calls for an admin. */
export function listSpendLogsRoute({ database }: AccountingContext): ServiceImpl<typeof SpendService>["listSpendLogs"] {
  return async (request) => {
    const query = readSpendLogQuery(request);
    try {
      const em = database.em();
      const logs = query.perDay
        ? daySumsJson(await sumSpendLogs(em, query))
        : (await findSpendLogs(em, query)).map(spendLogJson);
      return create(ListSpendLogsResponseSchema, { logs: new TextEncoder().encode(JSON.stringify(logs)) });
    } catch (error) {
      throw databaseError(error);
    }
  };
}
