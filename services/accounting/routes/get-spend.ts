import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { IsolationLevel } from "@mikro-orm/core";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import {
  GetSpendResponseSchema,
  ScopeSpendSchema,
  type SpendService,
} from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AccountingContext } from "../context.ts";
import { readLedgers, readWallets } from "../db/quota-rows.ts";
import type { Wallet } from "../lease-book.ts";
import { readScope } from "../lease-request.ts";
import { ledgerAt } from "../ledger.ts";

const maxScopes = 1000;

/** Answers the spend of scopes. A window that is over counts as reset, whether anybody wrote that down yet or not. */
export function getSpendRoute({
  database,
  clock,
  config,
}: AccountingContext): ServiceImpl<typeof SpendService>["getSpend"] {
  return async (request) => {
    if (request.scopes.length > maxScopes) {
      throw gatewayError(Reason.INVALID_REQUEST, `at most ${maxScopes} scopes`, { param: "scopes" });
    }
    const scopes = request.scopes.map(readScope);
    try {
      const nowMs = clock();
      // One snapshot: a settlement between the two reads would otherwise be missing from both.
      const [ledgers, wallets] = await database.em().transactional(
        async (em) => {
          const ledgersNow = await readLedgers(em, scopes);
          return [ledgersNow, await readWallets(em, [], scopes, nowMs)] as const;
        },
        { isolationLevel: IsolationLevel.REPEATABLE_READ, readOnly: true },
      );
      const spends = scopes.map((scope) => {
        const stored = ledgers.get(scope);
        const ledger = stored && ledgerAt(stored, nowMs, config.timeZone);
        return create(ScopeSpendSchema, {
          scope,
          spentNanoUsd: ledger?.spent ?? 0n,
          reservedNanoUsd: reserved(wallets.get(scope)),
          resetsAt: ledger?.window.endMs === undefined ? undefined : timestampFromMs(ledger.window.endMs),
        });
      });
      return create(GetSpendResponseSchema, { spends });
    } catch (error) {
      throw databaseError(error);
    }
  };
}

function reserved(wallets: ReadonlyMap<string, Wallet> | undefined): bigint {
  let sum = 0n;
  for (const { nanoUsd } of wallets?.values() ?? []) sum += nanoUsd;
  return sum;
}
