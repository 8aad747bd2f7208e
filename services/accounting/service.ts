import type { HostedService } from "#chassis/service.ts";
import { UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { AccountingContext } from "./context.ts";
import { watchDatabase } from "./database-outage.ts";
import { reviveLeases } from "./db/lease-owners.ts";
import { createPartitions } from "./db/partitions.ts";
import { createSpendContexts } from "./db/spend-contexts.ts";
import { createAccountingTelemetry } from "./events.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { createNotices } from "./notices.ts";
import { accountingRoutes } from "./routes/index.ts";
import { Settler } from "./settler.ts";

/** Wallets that expired longer ago than this are not brought back at a start. */
const reviveWithinMs = 600_000;

/**
 * Starts accounting on a database opened with `accountingSchema`: serves leases and spend, and settles usage records as
 * they come. Any number of replicas may run on one database.
 */
export async function createAccountingService(context: AccountingContext): Promise<HostedService> {
  const { database, events, clock, config } = context;
  const telemetry = createAccountingTelemetry(context.meter, context.log);
  const notices = createNotices(events, clock, config.noticeIntervalMs);
  const partitions = createPartitions(database);
  const nowMs = clock();
  await partitions.ensureAhead(nowMs);
  await reviveLeases(database.em(), nowMs - reviveWithinMs, nowMs, nowMs + config.leaseTtlMs);
  const { leaseTtlMs } = config;
  const outage = watchDatabase({ database, clock, leaseTtlMs, pulseMs: config.databasePulseMs });
  const housekeeping = startHousekeeping({
    database,
    partitions,
    telemetry,
    clock,
    intervalMs: config.housekeepingMs,
  });
  const contexts = createSpendContexts(database, clock);
  const settlement = { database, partitions, contexts, clock, timeZone: config.timeZone };
  const settler = new Settler(settlement, context.thread, context.log);
  const unsubscribe = await events.subscribeDurable(UsageRecordedSchema, "accounting", async (batch) => {
    const settled = await settler.settle(batch);
    telemetry.batchSettled(settled);
    for (const { recordId, reason } of settled.rejected) telemetry.usageRejected(recordId, reason);
    notices.spendChanged([...settled.scopes]);
  });
  return {
    name: "accounting",
    implementations: accountingRoutes(context, notices, telemetry, outage),
    async close() {
      await unsubscribe();
      await settler.close();
      await housekeeping.stop();
      outage.stop();
      notices.close();
    },
  };
}
