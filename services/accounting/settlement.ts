import { fromBinary } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Database } from "#chassis/database/database.ts";
import { UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
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
import { type Ledger, ledgerAt } from "./ledger.ts";
import { bucketStart } from "./rate-window.ts";
import type { TimeZone } from "./time-zone.ts";
import { type ReadUsage, readUsage, UnreadableUsage } from "./usage-record.ts";

/** What settling needs. */
export interface SettlementContext {
  readonly database: Database;
  readonly partitions: Partitions;
  readonly contexts: SpendContexts;
  readonly clock: () => number;
  readonly timeZone: TimeZone;
}

/** What was done with a batch, for those who count it or have to hear of it. */
export interface Settled {
  /** New rows, and records whose row was there already. */
  inserted: number;
  repeated: number;
  /** New rows of models without a known price. */
  unpriced: number;
  /** How long ago the oldest call of the new rows ended, in milliseconds. */
  lagMs: number;
  /** What was charged. */
  readonly scopes: Set<string>;
  /** Records that could not become rows, and why. */
  readonly rejected: { readonly recordId: string; readonly reason: string }[];
}

const maxBatch = 500;

/**
 * Settles usage records, each an encoded `UsageRecorded`: inserts their rows, charges the ledgers and takes what was consumed
 * out of the owners' wallets, in one transaction per batch. A record that is there already changes nothing. Resolves when
 * every record is a row, or is kept as rejected; rejects where the database does not take them, and then the whole batch is
 * delivered again.
 */
export async function settle(context: SettlementContext, records: readonly Uint8Array[]): Promise<Settled> {
  const settled: Settled = { inserted: 0, repeated: 0, unpriced: 0, lagMs: 0, scopes: new Set(), rejected: [] };
  const run = { context, settled };
  for (let at = 0; at < records.length; at += maxBatch) {
    const readable: UsageEvent[] = [];
    for (const bytes of records.slice(at, at + maxBatch)) {
      const usage = tryRead(bytes, context.clock());
      if (usage instanceof UnreadableUsage) await reject(run, bytes, usage.recordId, usage.message);
      else readable.push({ bytes, usage });
    }
    if (readable.length > 0) await settleBatch(run, readable);
  }
  return settled;
}

interface Run {
  readonly context: SettlementContext;
  readonly settled: Settled;
}

interface UsageEvent {
  readonly bytes: Uint8Array;
  readonly usage: ReadUsage;
}

/** Settles a batch; where the database refuses a value in it, its halves, until the record at fault stands alone. */
async function settleBatch(run: Run, batch: readonly UsageEvent[]): Promise<void> {
  const { context } = run;
  await context.partitions.ensure(new Set(batch.map(({ usage }) => usage.day)));
  const records = batch.map(({ usage }) => usage);
  try {
    await context.contexts.ensure(batch.map(({ usage }) => usage.row.context));
    const nowMs = context.clock();
    const fresh = await context.database.transaction((em) => settleRecords(em, records, nowMs, context.timeZone));
    note(run.settled, records.length, fresh, nowMs);
  } catch (error) {
    const [first, ...rest] = batch;
    if (first === undefined || !isBadValue(error)) throw error;
    if (rest.length === 0) {
      return reject(run, first.bytes, first.usage.recordId, `the database refused it: ${sqlState(error)}`);
    }
    const half = Math.ceil(batch.length / 2);
    await settleBatch(run, batch.slice(0, half));
    await settleBatch(run, batch.slice(half));
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

function note(settled: Settled, delivered: number, fresh: readonly ReadUsage[], nowMs: number): void {
  settled.inserted += fresh.length;
  settled.repeated += delivered - fresh.length;
  for (const { unpriced, endedAtMs, charges } of fresh) {
    if (unpriced) settled.unpriced += 1;
    settled.lagMs = Math.max(settled.lagMs, nowMs - endedAtMs);
    for (const { scope } of charges) settled.scopes.add(scope);
  }
}

function tryRead(bytes: Uint8Array, nowMs: number): ReadUsage | UnreadableUsage {
  try {
    const event = fromBinary(UsageRecordedSchema, bytes);
    try {
      return readUsage(event, nowMs);
    } catch (error) {
      const why = error instanceof UnreadableUsage ? error.message : "a field has the wrong type";
      return new UnreadableUsage(why, event.recordId);
    }
  } catch {
    return new UnreadableUsage("it is no usage record");
  }
}

async function reject({ context, settled }: Run, bytes: Uint8Array, recordId: string, reason: string): Promise<void> {
  await insertRejected(context.database.em(), recordId, reason, bytes);
  settled.rejected.push({ recordId, reason });
}

/** SQLSTATE classes 22 (data exception) and 23 (integrity): no retry will make the database take the value. */
function isBadValue(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error));
}

function sqlState(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}
