import type { FilterQuery } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { SpendLogQuery } from "../spend-log-query.ts";
import { uuidv7Ms } from "../usage-record.ts";
import { SpendLog, type SpendLogRow } from "./entities.ts";
import { isoDay } from "./partitions.ts";
import { rows } from "./statement.ts";

const dayMs = 86_400_000;

/** Recorded calls, newest first. */
export function findSpendLogs(em: SqlEntityManager, query: SpendLogQuery): Promise<SpendLogRow[]> {
  return em.find(
    SpendLog,
    { $and: filters(query) },
    { orderBy: { startedAt: "desc", recordId: "desc" }, limit: query.limit },
  );
}

function filters(query: SpendLogQuery): FilterQuery<SpendLogRow>[] {
  const { keyId, userId, requestId, fromMs, untilMs } = query;
  const all: FilterQuery<SpendLogRow>[] = [];
  if (keyId !== undefined) all.push({ keyId });
  if (userId !== undefined) all.push({ userId });
  if (requestId !== undefined) all.push(byRequest(requestId));
  // The day of the id is the day of the admission, give or take a clock; it lets whole partitions be left out.
  if (fromMs !== undefined) all.push({ startedAt: { $gte: new Date(fromMs) }, day: { $gte: isoDay(fromMs - dayMs) } });
  if (untilMs !== undefined)
    all.push({ startedAt: { $lt: new Date(untilMs) }, day: { $lte: isoDay(untilMs + dayMs) } });
  return all;
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
     where day between $1::date and $2::date
       and started_at >= to_timestamp($3::double precision / 1000)
       and started_at < to_timestamp($4::double precision / 1000)
       and ($5::text is null or key_id = $5) and ($6::text is null or user_id = $6)
       and ($7::text is null or call_id = $7 or record_id::text = $7)
     group by 1, 2, 3, 4 order by 1, 2, 3, 4`,
    [isoDay(fromMs - dayMs), isoDay(untilMs + dayMs), fromMs, untilMs, keyId, userId, requestId],
  );
  return found.map((row) => ({
    day: row.day,
    keyId: row.key_id,
    userId: row.user_id,
    model: row.model,
    nanoUsd: BigInt(row.nano),
  }));
}
