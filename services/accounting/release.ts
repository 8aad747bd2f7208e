import type { Database } from "#chassis/database/database.ts";
import { closeLeases, readOwnedScopes } from "./db/lease-owners.ts";
import { type BucketChange, changeBuckets, type LeaseDecrease, lockLedgers, takeFromLeases } from "./db/quota-rows.ts";
import type { Return } from "./lease-request.ts";
import { bucketStart } from "./rate-window.ts";

/** Gives back unused amounts, and closes all wallets of the owner where `closeAtMs` is given. */
export async function release(
  database: Database,
  owner: string,
  returns: readonly Return[],
  closeAtMs: number | undefined,
): Promise<void> {
  await database.transaction(async (em) => {
    const owned = closeAtMs === undefined ? [] : await readOwnedScopes(em, owner);
    await lockLedgers(em, [...new Set([...owned, ...returns.map((entry) => entry.scope)])]);
    await takeFromLeases(em, leaseDecreases(owner, returns));
    await changeBuckets(em, bucketChanges(returns));
    if (closeAtMs !== undefined) await closeLeases(em, owner, closeAtMs);
  });
}

function leaseDecreases(owner: string, returns: readonly Return[]): LeaseDecrease[] {
  const sums = new Map<string, LeaseDecrease>();
  for (const { scope, unused } of returns) {
    const sum = sums.get(scope);
    const nanoUsd = (sum?.nanoUsd ?? 0n) + unused.nanoUsd;
    const parallel = (sum?.parallel ?? 0n) + unused.parallel;
    if (nanoUsd > 0n || parallel > 0n) sums.set(scope, { owner, scope, nanoUsd, parallel });
  }
  return [...sums.values()];
}

function bucketChanges(returns: readonly Return[]): BucketChange[] {
  const sums = new Map<string, BucketChange>();
  for (const { scope, unused, leasedAtMs } of returns) {
    if (leasedAtMs === undefined || (unused.requests === 0n && unused.tokens === 0n)) continue;
    const bucketMs = bucketStart(leasedAtMs);
    const id = `${bucketMs} ${scope}`;
    const sum = sums.get(id);
    sums.set(id, {
      scope,
      bucketMs,
      requests: (sum?.requests ?? 0n) - unused.requests,
      tokens: (sum?.tokens ?? 0n) - unused.tokens,
    });
  }
  return [...sums.values()];
}
