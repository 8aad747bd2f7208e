import type { Database } from "#chassis/database/database.ts";
import { rows } from "./statement.ts";

/** The day partitions of the spend log. */
export interface Partitions {
  /** Makes the partitions of days since 1970 that are missing. Costs nothing where all are known. */
  ensure(days: Iterable<number>): Promise<void>;
  /** Makes today's partition and the next days', so that no call has to wait for one at midnight. */
  ensureAhead(nowMs: number): Promise<void>;
}

const dayMs = 86_400_000;
const daysAhead = 3;
const maxRemembered = 1000;

export function createPartitions(database: Database): Partitions {
  const known = new Set<number>();

  async function ensure(days: Iterable<number>): Promise<void> {
    for (const day of days) {
      if (known.has(day)) continue;
      await createPartition(database, day);
      if (known.size >= maxRemembered) known.clear();
      known.add(day);
    }
  }

  return {
    ensure,
    ensureAhead(nowMs) {
      const days = Array.from({ length: daysAhead + 1 }, (_, ahead) => Math.floor(nowMs / dayMs) + ahead);
      return ensure(days);
    },
  };
}

/**
 * Makes the table of a day and attaches it: attaching blocks neither readers nor writers of the other days, which
 * `create table … partition of` would. Replicas take turns by an advisory
 * lock, which the transaction frees.
 */
async function createPartition(database: Database, day: number): Promise<void> {
  const from = isoDay(day * dayMs);
  const table = `spend_row_${from.replaceAll("-", "")}`;
  const next = isoDay((day + 1) * dayMs);
  await database.transaction(async (em) => {
    await rows(em, "select pg_advisory_xact_lock(hashtext('sluice.accounting.partitions'))");
    const attached = await rows(
      em,
      `select 1 from pg_inherits join pg_class child on child.oid = inhrelid
       where inhparent = 'accounting.spend_row'::regclass and child.relname = $1`,
      [table],
    );
    if (attached.length > 0) return;
    await rows(em, `create table if not exists accounting.${table} (like accounting.spend_row including all)`);
    await rows(
      em,
      `alter table accounting.spend_row attach partition accounting.${table} for values from ('${from}') to ('${next}')`,
    );
  });
}

/** The UTC day of a moment, `YYYY-MM-DD`. */
export function isoDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
