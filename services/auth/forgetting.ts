import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { referrers } from "./budgets.ts";
import type { Changed } from "./change.ts";
import type { RouteContext } from "./context.ts";
import { EndedScope } from "./db/entities.ts";
import { forgetSpend } from "./scope-spend.ts";

const batchSize = 500;

/**
 * Remembers, in the transaction of a change, which scopes end with it: those of what is deleted, and of a key's former
 * hash. Accounting is told later, see `startForgetting`.
 */
export async function noteEnded(em: SqlEntityManager, changed: readonly Changed[], now: Date): Promise<void> {
  const ended = changed.filter(({ action }) => action === "deleted" || action === "rotated");
  const scopes = [...new Set(ended.map(({ scope }) => scope))];
  for (let from = 0; from < scopes.length; from += batchSize) {
    const rows = scopes.slice(from, from + batchSize).map((scope) => ({ scope, endedAt: now }));
    await em.upsertMany(EndedScope, rows);
  }
}

/**
 * Has accounting forget, now and then, what scopes have spent that ended long enough ago and are not there again; until
 * then it is shown with what was deleted. The log of calls stays. Every replica looks: to forget twice does no harm.
 */
export function startForgetting(context: RouteContext): { stop(): Promise<void> } {
  const { intervalMs } = context.config.forgetting;
  const state: { running: Promise<void> } = { running: Promise.resolve() };
  const timer = setInterval(() => {
    state.running = state.running.then(() =>
      forgetEnded(context).catch((error: unknown) => context.telemetry.forgettingFailed(error)),
    );
  }, intervalMs).unref();
  return {
    stop() {
      clearInterval(timer);
      return state.running;
    },
  };
}

/** Does so once. Rejects as the database or accounting does; what is not done is done the next time. */
export async function forgetEnded(context: RouteContext): Promise<void> {
  const before = new Date(context.clock() - context.config.forgetting.keepMs);
  for (;;) {
    const em = context.database.em();
    const rows = await em.find(
      EndedScope,
      { endedAt: { $lt: before } },
      { limit: batchSize, orderBy: { endedAt: "asc" } },
    );
    if (rows.length === 0) return;
    const scopes = rows.map(({ scope }) => scope);
    const there = await stillThere(em, scopes);
    const gone = scopes.filter((scope) => !there.has(scope));
    if (gone.length > 0) await forgetSpend(context, gone);
    await em.nativeDelete(EndedScope, { scope: { $in: scopes }, endedAt: { $lt: before } });
  }
}

/** Those of the scopes that belong to something: it was made again under the same name. */
async function stillThere(em: SqlEntityManager, scopes: readonly string[]): Promise<Set<string>> {
  const there = new Set<string>();
  for (const [table, first, second, scopeOf] of referrers) {
    const own = scopes.filter((scope) => scope.startsWith(scopeOf("", "").replace(/:+$/, ":")));
    if (own.length === 0) continue;
    const ids = own.map((scope) => idIn(scope, first !== second));
    const found = await em.execute(
      `select ${first} as a, ${second} as b from auth.${table} where ${first} in (${ids.map(() => "?").join(", ")})`,
      ids,
    );
    for (const { a, b } of found) there.add(scopeOf(String(a), String(b)));
  }
  return there;
}

/** The first id in a scope; those of two are escaped. */
function idIn(scope: string, isOfTwo: boolean): string {
  const name = scope.slice(scope.indexOf(":") + 1);
  return isOfTwo ? decodeURIComponent(name.slice(0, name.indexOf(":"))) : name;
}
