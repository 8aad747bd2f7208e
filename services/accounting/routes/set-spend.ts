import type { ServiceImpl } from "@connectrpc/connect";
import { setActor } from "#chassis/audit/actor.ts";
import { appendEntry } from "#chassis/audit/append-entry.ts";
import { readCaller } from "#chassis/caller-header.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AccountingContext } from "../context.ts";
import { insertLedgers, lockLedgers, writeLedgers } from "../db/quota-rows.ts";
import { readScope } from "../lease-request.ts";
import { ledgerAt } from "../ledger.ts";
import type { Notices } from "../notices.ts";

/**
 * Sets the spend of a scope's current window. What the routers hold of it stays reserved. A caller behind it is an
 * administrator, whose change goes into the audit; the ledger itself is not audited, because every call changes it.
 */
export function setSpendRoute(
  { database, clock, config }: AccountingContext,
  notices: Notices,
): ServiceImpl<typeof SpendService>["setSpend"] {
  return async (request, { requestHeader }) => {
    const scope = readScope(request.scope);
    const caller = readCaller(requestHeader);
    const spent = request.spentNanoUsd;
    if (spent < 0n) throw gatewayError(Reason.INVALID_REQUEST, "a spend is not negative", { param: "spent_nano_usd" });
    try {
      const previousNanoUsd = await database.transaction(async (em) => {
        await insertLedgers(em, [scope]);
        const locked = (await lockLedgers(em, [scope])).get(scope);
        if (locked === undefined) throw new Error("a ledger that was just made is missing");
        const current = ledgerAt(locked, clock(), config.timeZone);
        await writeLedgers(em, new Map([[scope, { ...current, spent }]]));
        if (caller !== undefined) {
          await setActor(em, caller);
          await appendEntry(em, {
            ...{ table: "accounting.ledger", objectId: scope, action: "updated" },
            before: { spent_nano_usd: String(current.spent) },
            after: { spent_nano_usd: String(spent) },
          });
        }
        return current.spent;
      });
      notices.spendChanged([scope]);
      return { previousNanoUsd };
    } catch (error) {
      throw databaseError(error);
    }
  };
}
