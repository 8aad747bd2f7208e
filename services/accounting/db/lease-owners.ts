import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { rows } from "./statement.ts";

/** The scopes on which an owner has a wallet. */
export async function readOwnedScopes(em: SqlEntityManager, owner: string): Promise<string[]> {
  const found = await rows<{ scope: string }>(em, "select scope from accounting.lease where owner = $1", [owner]);
  return found.map((row) => row.scope);
}

/** Closes the wallets of an owner: slots are free at once, money that is still owed at the given moment. */
export async function closeLeases(em: SqlEntityManager, owner: string, untilMs: number): Promise<void> {
  await rows(em, "delete from accounting.lease where owner = $1 and nano_usd = 0", [owner]);
  await rows(
    em,
    `update accounting.lease set parallel = 0,
       expires_at = least(expires_at, to_timestamp($2::double precision / 1000)) where owner = $1`,
    [owner, untilMs],
  );
}

/**
 * Counts wallets again that expired not long ago and hold money. At a start nobody knows whether their owners died or
 * only could not renew them, because there was no accounting; what they spent meanwhile may not be settled yet.
 */
export async function reviveLeases(
  em: SqlEntityManager,
  sinceMs: number,
  nowMs: number,
  untilMs: number,
): Promise<void> {
  await rows(
    em,
    `update accounting.lease set expires_at = to_timestamp($3::double precision / 1000)
     where nano_usd > 0 and expires_at > to_timestamp($1::double precision / 1000)
       and expires_at <= to_timestamp($2::double precision / 1000)`,
    [sinceMs, nowMs, untilMs],
  );
}

/** Removes wallets that nobody will ask for any more, and buckets that no window reaches, where nobody works on them. */
export async function removeStale(
  em: SqlEntityManager,
  leasesBeforeMs: number,
  bucketsBeforeMs: number,
): Promise<void> {
  await rows(
    em,
    `delete from accounting.lease where (scope, owner) in (select scope, owner from accounting.lease
       where expires_at < to_timestamp($1::double precision / 1000) for update skip locked)`,
    [leasesBeforeMs],
  );
  await rows(
    em,
    `delete from accounting.rate_bucket where (scope, bucket_start) in (select scope, bucket_start from
       accounting.rate_bucket where bucket_start < to_timestamp($1::double precision / 1000) for update skip locked)`,
    [bucketsBeforeMs],
  );
}
