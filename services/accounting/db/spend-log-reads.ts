import type { FilterQuery } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { SpendLogQuery } from "../spend-log-query.ts";
import { uuidv7Ms } from "../usage-record.ts";
import { SpendLog, type SpendLogRow } from "./entities.ts";
import { isoDay } from "./partitions.ts";
import { keyHash } from "./spend-contexts.ts";
import { rows } from "./statement.ts";

const dayMs = 86_400_000;
/** How far the time in a record's id may lie from the call's start: both are taken at its admission. */
const idSlackMs = 3_600_000;

/** Recorded calls, newest first: in the order of their ids, which begin with the time. */
export function findSpendLogs(em: SqlEntityManager, query: SpendLogQuery): Promise<SpendLogRow[]> {
  return em.find(SpendLog, { $and: filters(query) }, { orderBy: { recordId: "desc" }, limit: query.limit });
}

function filters(query: SpendLogQuery): FilterQuery<SpendLogRow>[] {
  const { keyId, userId, requestId, fromMs, untilMs } = query;
  const all: FilterQuery<SpendLogRow>[] = [];
  if (keyId !== undefined) all.push({ keyHash: keyHash(keyId), keyId });
  if (userId !== undefined) all.push({ userId });
  if (requestId !== undefined) all.push(byRequest(requestId));
  // The days let whole partitions be left out.
  if (fromMs !== undefined) {
    all.push({ startedAt: { $gte: new Date(fromMs) }, day: { $gte: isoDay(fromMs - dayMs) } });
    all.push({ recordId: { $gte: firstIdAt(fromMs - idSlackMs) } });
  }
  if (untilMs !== undefined) {
    all.push({ startedAt: { $lt: new Date(untilMs) }, day: { $lte: isoDay(untilMs + dayMs) } });
    all.push({ recordId: { $lt: firstIdAt(untilMs + idSlackMs) } });
  }
  return all;
}

/** The least id that can be made at a moment. */
function firstIdAt(ms: number): string {
  const hex = Math.max(ms, 0).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

function byRequest(requestId: string): FilterQuery<SpendLogRow> {
  const mintedAtMs = uuidv7Ms(requestId.toLowerCase());
  if (mintedAtMs === undefined) return { callId: requestId };
  const recordId = requestId.toLowerCase();
  return { $or: [{ callId: requestId }, { day: isoDay(mintedAtMs), recordId }] };
}

/** What was spent on a day by one key and user on one model. */
export interface DaySum {
  readonly day: string;
  readonly keyId: string;
  readonly userId: string;
  readonly model: string;
  readonly nanoUsd: bigint;
}

interface DaySumRow {
  readonly day: string;
  readonly key_id: string;
  readonly user_id: string;
  readonly model: string;
  readonly nano: string;
}

/** The sums of the days asked for, oldest first. Both ends of the time must be given. */
export async function sumSpendLogs(em: SqlEntityManager, query: SpendLogQuery): Promise<DaySum[]> {
  const { fromMs = 0, untilMs = 0, keyId = null, userId = null, requestId = null } = query;
  const found = await rows<DaySumRow>(
    em,
    `select (started_at at time zone 'UTC')::date as day, key_id, user_id, upstream_model as model,
       sum(cost_nano_usd) as nano
     from accounting.spend_log
     where day between $1::date and $2::date and record_id >= $8::uuid and record_id < $9::uuid
       and started_at >= to_timestamp($3::double precision / 1000)
       and started_at < to_timestamp($4::double precision / 1000)
       and ($5::text is null or key_hash = $10::bigint and key_id = $5) and ($6::text is null or user_id = $6)
       and ($7::text is null or call_id = $7 or record_id::text = $7)
     group by 1, 2, 3, 4 order by 1, 2, 3, 4`,
    [
      isoDay(fromMs - dayMs),
      isoDay(untilMs + dayMs),
      fromMs,
      untilMs,
      keyId,
      userId,
      requestId,
      firstIdAt(fromMs - idSlackMs),
      firstIdAt(untilMs + idSlackMs),
      keyId === null ? null : keyHash(keyId),
    ],
  );
  return found.map((row) => ({
    day: row.day,
    keyId: row.key_id,
    userId: row.user_id,
    model: row.model,
    nanoUsd: BigInt(row.nano),
  }));
}
