import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { appendEntry } from "#chassis/audit/append-entry.ts";
import { recordImport } from "#chassis/audit/import.ts";
import type { Database } from "#chassis/database/database.ts";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { type BudgetWindow, budgetWindowAt } from "./budget-window.ts";
import { insertLedgers, lockLedgers, readLedgers, writeLedgers } from "./db/quota-rows.ts";
import { rows } from "./db/statement.ts";
import { type Ledger, ledgerAt } from "./ledger.ts";
import type { TimeZone } from "./time-zone.ts";

/** What a scope has spent in its current budget window at another gateway. */
export interface ImportedSpend {
  readonly scope: string;
  readonly spentNanoUsd: bigint;
  /** The length of the window; empty means that the budget never resets. */
  readonly budgetDuration: string;
  /** When the window ends there; undefined where nobody has said. */
  readonly windowEndMs: number | undefined;
}

/** What was taken of a scope before. */
interface Taken {
  readonly spent: bigint;
  /** When the other gateway's window was to end. */
  readonly endMs: number | undefined;
  /** When the window of our ledger was to end then. */
  readonly ledgerEndMs: number | undefined;
  readonly atMs: number;
}

/**
 * Takes spend from another gateway into the ledger, all of it in one transaction. A scope that has no ledger yet gets the
 * other's window: its budget goes on where it was, and resets when it would have. What was taken before counts once: only
 * the difference is added. Where `dryRun`, it only says what would change.
 *
 * @returns the scopes whose spend was not taken before as it is now.
 */
export async function importSpend(
  { database, nowMs, zone }: { readonly database: Database; readonly nowMs: number; readonly zone: TimeZone },
  incoming: readonly ImportedSpend[],
  dryRun: boolean,
): Promise<ReadonlySet<string>> {
  if (incoming.length === 0) return new Set();
  return database.transaction(async (em) => {
    const scopes = incoming.map(({ scope }) => scope);
    const taken = await readTaken(em, scopes);
    const news = incoming.filter(({ scope, spentNanoUsd, windowEndMs }) => {
      const before = taken.get(scope);
      return before === undefined
        ? spentNanoUsd !== 0n || windowEndMs !== undefined
        : before.spent !== spentNanoUsd || before.endMs !== windowEndMs;
    });
    const changed = new Set(news.map(({ scope }) => scope));
    if (dryRun || news.length === 0) return changed;
    const existing = await readLedgers(em, [...changed]);
    await insertLedgers(em, [...changed]);
    const locked = await lockLedgers(em, [...changed]);
    const ledgers = news.map((spend): [string, Ledger] => {
      const { scope } = spend;
      const ledger = existing.has(scope) ? locked.get(scope) : undefined;
      return [scope, withSpend(ledger, spend, taken.get(scope), nowMs, zone)];
    });
    await writeLedgers(em, new Map(ledgers));
    await writeTaken(em, news, new Map(ledgers), nowMs);
    await recordImport(em);
    await appendEntry(em, {
      table: "accounting.ledger",
      objectId: "import-litellm",
      action: "loaded",
      after: { rows: news.length },
    });
    return changed;
  });
}

/** @param ledger Undefined where the scope had none. */
function withSpend(
  ledger: Ledger | undefined,
  { spentNanoUsd, budgetDuration, windowEndMs }: ImportedSpend,
  before: Taken | undefined,
  nowMs: number,
  zone: TimeZone,
): Ledger {
  // Without an end, the window is made where the limits are first asked for.
  const duration = windowEndMs === undefined ? "" : budgetDuration;
  const theirs = ledgerAt(
    { spent: spentNanoUsd, window: windowBefore(duration, windowEndMs, zone), duration },
    nowMs,
    zone,
  );
  if (ledger === undefined) return theirs;
  const ours = ledgerAt(ledger, nowMs, zone);
  const spent = sumOf(ours, theirs, before, windowEndMs, nowMs);
  return ours.duration === "" ? { ...theirs, spent } : { ...ours, spent };
}

/** What both have spent: what was taken before is part of ours, unless our window has ended since. */
function sumOf(
  ours: Ledger,
  theirs: Ledger,
  before: Taken | undefined,
  windowEndMs: number | undefined,
  nowMs: number,
): bigint {
  if (before === undefined) return ours.spent + theirs.spent;
  if (isCounted(ours, before, nowMs)) return notNegative(ours.spent - before.spent) + theirs.spent;
  const isSameWindow = before.endMs === windowEndMs;
  return ours.spent + (isSameWindow ? notNegative(theirs.spent - before.spent) : theirs.spent);
}

function isCounted(ours: Ledger, before: Taken, nowMs: number): boolean {
  return before.ledgerEndMs === undefined ? ours.window.startMs <= before.atMs : nowMs < before.ledgerEndMs;
}

function notNegative(amount: bigint): bigint {
  return amount > 0n ? amount : 0n;
}

/** The window that ends at a moment; LiteLLM's own may begin and end on other days than ours. */
function windowBefore(duration: string, endMs: number | undefined, zone: TimeZone): BudgetWindow {
  if (duration === "" || endMs === undefined) return { startMs: 0, endMs: undefined };
  const length = parseDuration(duration);
  const { startMs } = budgetWindowAt(length, endMs, endMs - 1, zone);
  return { startMs: Math.min(startMs, endMs - addDuration(new Date(0), length).getTime()), endMs };
}

async function readTaken(em: SqlEntityManager, scopes: readonly string[]): Promise<Map<string, Taken>> {
  const found = await rows<{
    scope: string;
    spent: string;
    end_ms: number | null;
    ledger_end_ms: number | null;
    at_ms: number;
  }>(
    em,
    `select scope, spent_nano_usd as spent, (extract(epoch from window_end) * 1000)::double precision as end_ms,
       (extract(epoch from ledger_end) * 1000)::double precision as ledger_end_ms,
       (extract(epoch from imported_at) * 1000)::double precision as at_ms
     from accounting.imported_spend where scope = any($1::text[])`,
    [scopes],
  );
  return new Map(
    found.map(({ scope, spent, end_ms, ledger_end_ms, at_ms }) => [
      scope,
      { spent: BigInt(spent), endMs: end_ms ?? undefined, ledgerEndMs: ledger_end_ms ?? undefined, atMs: at_ms },
    ]),
  );
}

async function writeTaken(
  em: SqlEntityManager,
  spends: readonly ImportedSpend[],
  ledgers: ReadonlyMap<string, Ledger>,
  nowMs: number,
): Promise<void> {
  await rows(
    em,
    `insert into accounting.imported_spend (scope, spent_nano_usd, window_end, ledger_end, imported_at)
     select scope, spent, to_timestamp(end_ms / 1000), to_timestamp(ledger_end_ms / 1000),
       to_timestamp($5::double precision / 1000)
     from unnest($1::text[], $2::bigint[], $3::double precision[], $4::double precision[])
       as n(scope, spent, end_ms, ledger_end_ms)
     on conflict (scope) do update set spent_nano_usd = excluded.spent_nano_usd, window_end = excluded.window_end,
       ledger_end = excluded.ledger_end, imported_at = excluded.imported_at`,
    [
      spends.map(({ scope }) => scope),
      spends.map(({ spentNanoUsd }) => spentNanoUsd),
      spends.map(({ windowEndMs }) => windowEndMs ?? null),
      spends.map(({ scope }) => ledgers.get(scope)?.window.endMs ?? null),
      nowMs,
    ],
  );
}
