import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Quantities } from "../amounts.ts";
import type { LeaseIncrease, Wallet } from "../lease-book.ts";
import type { Ledger } from "../ledger.ts";
import type { RateBucket } from "../rate-window.ts";
import { rows } from "./statement.ts";

interface LedgerRow {
  readonly scope: string;
  readonly spent: string;
  readonly duration: string;
  readonly start_ms: number;
  readonly end_ms: number | null;
}

const ledgerColumns = `scope, spent_nano_usd as spent, budget_duration as duration,
  (extract(epoch from window_start) * 1000)::double precision as start_ms,
  (extract(epoch from window_end) * 1000)::double precision as end_ms`;

/**
 * Makes ledger rows where they are missing. In a transaction, call it before anything of `ledger` is locked: all
 * writers insert first and lock afterwards, both in the order of the scopes, so that they cannot wait in a circle.
 */
export async function insertLedgers(em: SqlEntityManager, scopes: readonly string[]): Promise<void> {
  await rows(
    em,
    `insert into accounting.ledger (scope) select scope from unnest($1::text[]) as s(scope)
     order by scope collate "C" on conflict do nothing`,
    [scopes],
  );
}

/** Locks the ledgers of scopes until the end of the transaction and returns those that exist. */
export async function lockLedgers(em: SqlEntityManager, scopes: readonly string[]): Promise<Map<string, Ledger>> {
  const found = await rows<LedgerRow>(
    em,
    `select ${ledgerColumns} from accounting.ledger where scope = any($1::text[]) order by scope for update`,
    [scopes],
  );
  return new Map(found.map((row) => [row.scope, toLedger(row)]));
}

/** Reads ledgers without a lock. */
export async function readLedgers(em: SqlEntityManager, scopes: readonly string[]): Promise<Map<string, Ledger>> {
  const found = await rows<LedgerRow>(
    em,
    `select ${ledgerColumns} from accounting.ledger where scope = any($1::text[])`,
    [scopes],
  );
  return new Map(found.map((row) => [row.scope, toLedger(row)]));
}

/** The dearest ledgers of a kind of scopes, by scope, the dearest first. Limits of one model or window are left out. */
export async function readTopLedgers(
  em: SqlEntityManager,
  kind: string,
  nowMs: number,
  limit: number,
): Promise<Map<string, Ledger>> {
  const found = await rows<LedgerRow>(
    em,
    `select ${ledgerColumns} from accounting.ledger
     where starts_with(scope, $1 || ':') and scope not like '%|%' and spent_nano_usd > 0
       and (window_end is null or window_end > to_timestamp($2::double precision / 1000))
     order by spent_nano_usd desc, scope limit $3`,
    [kind, nowMs, limit],
  );
  return new Map(found.map((row) => [row.scope, toLedger(row)]));
}

/** Reads the ledgers of a scope and of those beneath it, without a lock. */
export async function readLedgersUnder(em: SqlEntityManager, scope: string): Promise<Map<string, Ledger>> {
  const found = await rows<LedgerRow>(
    em,
    `select ${ledgerColumns} from accounting.ledger where scope = $1 or starts_with(scope, $2)`,
    [scope, `${scope}|`],
  );
  return new Map(found.map((row) => [row.scope, toLedger(row)]));
}

/**
 * Deletes the ledgers of scopes and of those beneath them, except where somebody works on one or holds a wallet. Whoever
 * finds a ledger missing makes a new one.
 */
export async function deleteLedgers(em: SqlEntityManager, scopes: readonly string[], nowMs: number): Promise<void> {
  await rows(
    em,
    `delete from accounting.ledger where scope in (
       select scope from accounting.ledger as l
       where regexp_replace(scope, '[|](window|model):.*$', '') = any($1::text[])
         and not exists (select 1 from accounting.lease
           where lease.scope = l.scope and expires_at > to_timestamp($2::double precision / 1000))
       order by scope collate "C" for update of l skip locked)`,
    [scopes, nowMs],
  );
}

function toLedger(row: LedgerRow): Ledger {
  const window = { startMs: row.start_ms, endMs: row.end_ms ?? undefined };
  return { spent: BigInt(row.spent), window, duration: row.duration };
}

export async function writeLedgers(em: SqlEntityManager, ledgers: ReadonlyMap<string, Ledger>): Promise<void> {
  if (ledgers.size === 0) return;
  const all = [...ledgers.values()];
  await rows(
    em,
    `update accounting.ledger as l set spent_nano_usd = n.spent, budget_duration = n.duration,
       window_start = to_timestamp(n.start_ms / 1000), window_end = to_timestamp(n.end_ms / 1000)
     from unnest($1::text[], $2::bigint[], $3::text[], $4::double precision[], $5::double precision[])
       as n(scope, spent, duration, start_ms, end_ms)
     where l.scope = n.scope`,
    [
      [...ledgers.keys()],
      all.map((ledger) => ledger.spent),
      all.map((ledger) => ledger.duration),
      all.map((ledger) => ledger.window.startMs),
      all.map((ledger) => ledger.window.endMs ?? null),
    ],
  );
}

interface WalletRow {
  readonly scope: string;
  readonly owner: string;
  readonly nano: string;
  readonly parallel: string;
  readonly expired: boolean;
}

/** The wallets of scopes, by scope and owner: those whose TTL has not passed, and all of the owners named. */
export async function readWallets(
  em: SqlEntityManager,
  owners: readonly string[],
  scopes: readonly string[],
  nowMs: number,
): Promise<Map<string, Map<string, Wallet>>> {
  const found = await rows<WalletRow>(
    em,
    `select scope, owner, nano_usd as nano, parallel,
       expires_at <= to_timestamp($3::double precision / 1000) as expired
     from accounting.lease
     where scope = any($1::text[])
       and (owner = any($2::text[]) or expires_at > to_timestamp($3::double precision / 1000))`,
    [scopes, owners, nowMs],
  );
  const wallets = new Map<string, Map<string, Wallet>>();
  for (const { scope, owner, nano, parallel, expired } of found) {
    const ofScope = wallets.get(scope) ?? new Map<string, Wallet>();
    ofScope.set(owner, { nanoUsd: BigInt(nano), parallel: BigInt(parallel), expired });
    wallets.set(scope, ofScope);
  }
  return wallets;
}

interface BucketRow {
  readonly scope: string;
  readonly start_ms: number;
  readonly requests: string;
  readonly tokens: string;
}

/** The buckets of scopes that count, and whether there are older ones to be cleared. */
export async function readBuckets(
  em: SqlEntityManager,
  scopes: readonly string[],
  floorMs: number,
): Promise<Map<string, RateBucket[]>> {
  const found = await rows<BucketRow>(
    em,
    `select scope, (extract(epoch from bucket_start) * 1000)::double precision as start_ms, requests, tokens
     from accounting.rate_bucket
     where scope = any($1::text[]) and bucket_start > to_timestamp($2::double precision / 1000)`,
    [scopes, floorMs],
  );
  const buckets = new Map<string, RateBucket[]>();
  for (const row of found) {
    const list = buckets.get(row.scope) ?? [];
    list.push({ startMs: row.start_ms, requests: BigInt(row.requests), tokens: BigInt(row.tokens) });
    buckets.set(row.scope, list);
  }
  return buckets;
}

/** Adds what was granted to wallets and extends them. */
export async function addToLeases(
  em: SqlEntityManager,
  increases: readonly LeaseIncrease[],
  expiresAtMs: number,
): Promise<void> {
  if (increases.length === 0) return;
  await rows(
    em,
    `insert into accounting.lease as l (scope, owner, nano_usd, parallel, expires_at)
     select scope, owner, nano_usd, parallel, to_timestamp($5::double precision / 1000)
     from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as n(scope, owner, nano_usd, parallel)
     order by scope collate "C", owner
     on conflict (scope, owner) do update set nano_usd = l.nano_usd + excluded.nano_usd,
       parallel = l.parallel + excluded.parallel, expires_at = excluded.expires_at`,
    [
      increases.map((each) => each.scope),
      increases.map((each) => each.owner),
      increases.map((each) => each.nanoUsd),
      increases.map((each) => each.parallel),
      expiresAtMs,
    ],
  );
}

/** Counts granted requests and tokens in the window, and clears what left it. */
export async function addToBuckets(
  em: SqlEntityManager,
  granted: ReadonlyMap<string, Quantities>,
  bucketMs: number,
  floorMs: number,
): Promise<void> {
  const scopes = [...granted.keys()];
  const amounts = [...granted.values()];
  await rows(
    em,
    `with cleared as (
       delete from accounting.rate_bucket
       where scope = any($1::text[]) and bucket_start <= to_timestamp($5::double precision / 1000)
     )
     insert into accounting.rate_bucket as b (scope, bucket_start, requests, tokens)
     select scope, to_timestamp($4::double precision / 1000), requests, tokens
     from unnest($1::text[], $2::bigint[], $3::bigint[]) as n(scope, requests, tokens)
     order by scope collate "C"
     on conflict (scope, bucket_start) do update set requests = b.requests + excluded.requests,
       tokens = b.tokens + excluded.tokens`,
    [scopes, amounts.map((amount) => amount.requests), amounts.map((amount) => amount.tokens), bucketMs, floorMs],
  );
}

/** A change of a wallet; the amounts are taken away, as far as they are there. */
export interface LeaseDecrease {
  readonly owner: string;
  readonly scope: string;
  readonly nanoUsd: bigint;
  readonly parallel: bigint;
}

export async function takeFromLeases(em: SqlEntityManager, decreases: readonly LeaseDecrease[]): Promise<void> {
  if (decreases.length === 0) return;
  await rows(
    em,
    `update accounting.lease as l set nano_usd = greatest(0, l.nano_usd - n.nano_usd),
       parallel = greatest(0, l.parallel - n.parallel)
     from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as n(owner, scope, nano_usd, parallel)
     where l.scope = n.scope and l.owner = n.owner`,
    [
      decreases.map((each) => each.owner),
      decreases.map((each) => each.scope),
      decreases.map((each) => each.nanoUsd),
      decreases.map((each) => each.parallel),
    ],
  );
}

/** A correction of a bucket: negative amounts give back. */
export interface BucketChange {
  readonly scope: string;
  readonly bucketMs: number;
  readonly requests: bigint;
  readonly tokens: bigint;
}

/** Corrects buckets, never below zero. A bucket that left the window is gone, and its correction with it. */
export async function changeBuckets(em: SqlEntityManager, changes: readonly BucketChange[]): Promise<void> {
  if (changes.length === 0) return;
  await rows(
    em,
    `update accounting.rate_bucket as b set requests = greatest(0, b.requests + n.requests),
       tokens = greatest(0, b.tokens + n.tokens)
     from unnest($1::text[], $2::double precision[], $3::bigint[], $4::bigint[]) as n(scope, bucket_ms, requests, tokens)
     where b.scope = n.scope and b.bucket_start = to_timestamp(n.bucket_ms / 1000)`,
    [
      changes.map((each) => each.scope),
      changes.map((each) => each.bucketMs),
      changes.map((each) => each.requests),
      changes.map((each) => each.tokens),
    ],
  );
}
