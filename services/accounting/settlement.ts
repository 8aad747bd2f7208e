import { toBinary } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Database } from "#chassis/database/database.ts";
import { type UsageRecorded, UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { Partitions } from "./db/partitions.ts";
import {
  type BucketChange,
  changeBuckets,
  insertLedgers,
  type LeaseDecrease,
  lockLedgers,
  takeFromLeases,
  writeLedgers,
} from "./db/quota-rows.ts";
import type { SpendContexts } from "./db/spend-contexts.ts";
import { insertRejected, insertSpendLogs } from "./db/spend-log-rows.ts";
import type { AccountingTelemetry } from "./events.ts";
import { type Ledger, ledgerAt } from "./ledger.ts";
import type { Notices } from "./notices.ts";
import { bucketStart } from "./rate-window.ts";
import type { TimeZone } from "./time-zone.ts";
import { type ReadUsage, readUsage, UnreadableUsage } from "./usage-record.ts";

/** What settling needs. */
export interface SettlementContext {
  readonly database: Database;
  readonly partitions: Partitions;
  readonly contexts: SpendContexts;
  readonly notices: Notices;
  readonly telemetry: AccountingTelemetry;
  readonly clock: () => number;
  readonly timeZone: TimeZone;
}

const maxBatch = 500;

/**
 * Settles usage records: inserts their rows, charges the ledgers and takes what was consumed out of the owners' wallets,
 * in one transaction per batch. A record that is there already changes nothing. Resolves when every record is a row, or
 * is kept as rejected; rejects where the database does not take them, and then the whole batch is delivered again.
 */
export async function settle(context: SettlementContext, events: readonly UsageRecorded[]): Promise<void> {
  for (let at = 0; at < events.length; at += maxBatch) {
    const readable: UsageEvent[] = [];
    for (const event of events.slice(at, at + maxBatch)) {
      const usage = tryRead(event, context.clock());
      if (usage instanceof UnreadableUsage) await reject(context, event, usage.message);
      else readable.push({ event, usage });
    }
    if (readable.length > 0) await settleBatch(context, readable);
  }
}

interface UsageEvent {
  readonly event: UsageRecorded;
  readonly usage: ReadUsage;
}

/** Settles a batch; where the database refuses a value in it, its halves, until the record at fault stands alone. */
async function settleBatch(context: SettlementContext, batch: readonly UsageEvent[]): Promise<void> {
  await context.partitions.ensure(new Set(batch.map(({ usage }) => usage.day)));
  const records = batch.map(({ usage }) => usage);
  try {
    await context.contexts.ensure(batch.map(({ usage }) => usage.row.context));
    const nowMs = context.clock();
    const fresh = await context.database.transaction((em) => settleRecords(em, records, nowMs, context.timeZone));
    report(context, records.length, fresh, nowMs);
  } catch (error) {
    const [first, ...rest] = batch;
    if (first === undefined || !isBadValue(error)) throw error;
    if (rest.length === 0) return reject(context, first.event, `the database refused it: ${sqlState(error)}`);
    const half = Math.ceil(batch.length / 2);
    await settleBatch(context, batch.slice(0, half));
    await settleBatch(context, batch.slice(half));
  }
}

async function settleRecords(
  em: SqlEntityManager,
  records: readonly ReadUsage[],
  nowMs: number,
  zone: TimeZone,
): Promise<ReadUsage[]> {
  const inserted = await insertSpendLogs(em, records);
  const fresh: ReadUsage[] = [];
  for (const record of records) if (inserted.delete(record.recordId)) fresh.push(record);
  const scopes = [...new Set(fresh.flatMap((record) => record.charges.map((charge) => charge.scope)))];
  if (scopes.length === 0) return fresh;
  await insertLedgers(em, scopes);
  const ledgers = await lockLedgers(em, scopes);
  await writeLedgers(em, charge(ledgers, fresh, nowMs, zone));
  await takeFromLeases(em, consumedOfLeases(fresh));
  await changeBuckets(em, tokenCorrections(fresh));
  return fresh;
}

/**
 * The ledgers after the charges. A call that ended before the current window began belongs to one that is over: it is
 * in the log and no longer in the spend.
 */
function charge(
  ledgers: ReadonlyMap<string, Ledger>,
  records: readonly ReadUsage[],
  nowMs: number,
  zone: TimeZone,
): Map<string, Ledger> {
  const charged = new Map<string, Ledger>();
  for (const { charges, costNanoUsd, endedAtMs } of records) {
    for (const { scope } of charges) {
      const stored = ledgers.get(scope);
      if (stored === undefined) throw new Error("a locked ledger is missing");
      const ledger = charged.get(scope) ?? ledgerAt(stored, nowMs, zone);
      const spent = endedAtMs < ledger.window.startMs ? ledger.spent : ledger.spent + costNanoUsd;
      charged.set(scope, { ...ledger, spent });
    }
  }
  return charged;
}

function consumedOfLeases(records: readonly ReadUsage[]): LeaseDecrease[] {
  const sums = new Map<string, LeaseDecrease>();
  for (const { leaseOwner: owner, charges } of records) {
    for (const { scope, consumed } of charges) {
      if (consumed.nanoUsd === 0n) continue;
      const id = `${owner} ${scope}`;
      const nanoUsd = (sums.get(id)?.nanoUsd ?? 0n) + consumed.nanoUsd;
      sums.set(id, { owner, scope, nanoUsd, parallel: 0n });
    }
  }
  return [...sums.values()];
}

function tokenCorrections(records: readonly ReadUsage[]): BucketChange[] {
  const sums = new Map<string, BucketChange>();
  for (const { charges } of records) {
    for (const { scope, consumed, leasedAtMs, leasedTokens } of charges) {
      if (leasedAtMs === undefined || leasedTokens === undefined || leasedTokens === consumed.tokens) continue;
      const bucketMs = bucketStart(leasedAtMs);
      const id = `${bucketMs} ${scope}`;
      const tokens = (sums.get(id)?.tokens ?? 0n) + consumed.tokens - leasedTokens;
      sums.set(id, { scope, bucketMs, requests: 0n, tokens });
    }
  }
  return [...sums.values()];
}

function report(context: SettlementContext, delivered: number, fresh: readonly ReadUsage[], nowMs: number): void {
  const oldest = fresh.reduce((least, record) => Math.min(least, record.endedAtMs), nowMs);
  context.telemetry.batchSettled({
    inserted: fresh.length,
    repeated: delivered - fresh.length,
    unpriced: fresh.reduce((sum, record) => sum + (record.unpriced ? 1 : 0), 0),
    lagMs: nowMs - oldest,
  });
  for (const record of fresh) context.notices.spendChanged(record.charges.map((each) => each.scope));
}

function tryRead(event: UsageRecorded, nowMs: number): ReadUsage | UnreadableUsage {
  try {
    return readUsage(event, nowMs);
  } catch (error) {
    if (error instanceof UnreadableUsage) return error;
    return new UnreadableUsage("a field has the wrong type");
  }
}

async function reject(context: SettlementContext, event: UsageRecorded, reason: string): Promise<void> {
  await insertRejected(context.database.em(), event.recordId, reason, encode(event));
  context.telemetry.usageRejected(event.recordId, reason);
}

/** The event's bytes; none where it is so malformed that it has none. */
function encode(event: UsageRecorded): Uint8Array {
  try {
    return toBinary(UsageRecordedSchema, event);
  } catch {
    return new Uint8Array();
  }
}

/** SQLSTATE classes 22 (data exception) and 23 (integrity): no retry will make the database take the value. */
function isBadValue(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error));
}

function sqlState(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}
