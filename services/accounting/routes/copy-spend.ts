import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import type { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import type { AccountingContext } from "../context.ts";
import { insertLedgers, readLedgersUnder, writeLedgers } from "../db/quota-rows.ts";
import { readScope } from "../lease-request.ts";
import type { Notices } from "../notices.ts";

/** Gives a scope, and the scopes beneath it, what another has spent. */
export function copySpendRoute(
  { database }: AccountingContext,
  notices: Notices,
): ServiceImpl<typeof SpendService>["copySpend"] {
  return async (request) => {
    const from = readScope(request.fromScope);
    const to = readScope(request.toScope);
    try {
      const copied = await database.transaction(async (em) => {
        const found = await readLedgersUnder(em, from);
        const ledgers = new Map([...found].map(([scope, ledger]) => [to + scope.slice(from.length), ledger]));
        await insertLedgers(em, [...ledgers.keys()]);
        await writeLedgers(em, ledgers);
        return [...ledgers.keys()];
      });
      notices.spendChanged(copied);
      return {};
    } catch (error) {
      throw databaseError(error);
    }
  };
}
