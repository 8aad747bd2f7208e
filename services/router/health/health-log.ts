import type { Database } from "#chassis/database/database.ts";
import { HealthCheck, type HealthCheckRow } from "../db/entities.ts";

/** Narrows the past checks. */
export interface HealthFilter {
  readonly modelName: string | undefined;
  readonly healthy: boolean | undefined;
  readonly limit: number;
  readonly offset: number;
}

const keptMs = 14 * 24 * 3_600_000;

/** Keeps checks, and forgets those of more than two weeks ago. */
export async function keepChecks(database: Database, checks: readonly HealthCheckRow[], now: number): Promise<void> {
  if (checks.length === 0) return;
  const em = database.em();
  await em.insertMany(HealthCheck, [...checks]);
  await em.nativeDelete(HealthCheck, { checkedAt: { $lt: new Date(now - keptMs) } });
}

/** The latest check of every deployment. */
export async function latestChecks(database: Database): Promise<HealthCheckRow[]> {
  const em = database.em();
  const rows = await em.execute<Record<string, unknown>[]>(
    "select distinct on (model_id) * from router.health_check order by model_id, checked_at desc",
  );
  return rows.map((row) => em.map(HealthCheck, row));
}

/** Past checks, the latest first, with how many there are. */
export async function pastChecks(
  database: Database,
  { modelName, healthy, limit, offset }: HealthFilter,
): Promise<[HealthCheckRow[], number]> {
  const where = {
    ...(modelName === undefined ? {} : { modelName }),
    ...(healthy === undefined ? {} : { healthy }),
  };
  const orderBy = { checkedAt: "desc", healthCheckId: "asc" } as const;
  return database.em().findAndCount(HealthCheck, where, { limit, offset, orderBy });
}

/**
 * Whether this router is to make the checks that are due: of all routers on a database one is. `at` is when.
 */
export async function claimRound(database: Database, at: Date, intervalMs: number): Promise<boolean> {
  // Half of a second less, so that a clock that is a little behind does not make every second round late.
  const before = new Date(at.getTime() - intervalMs + 500);
  const rows = await database
    .em()
    .execute("update router.state set checked_at = ? where checked_at is null or checked_at < ? returning 1", [
      at,
      before,
    ]);
  return rows.length > 0;
}
