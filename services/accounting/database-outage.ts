import type { Database } from "#chassis/database/database.ts";
import { reviveLeases } from "./db/lease-owners.ts";

export interface DatabaseOutageOptions {
  readonly database: Pick<Database, "em" | "ping">;
  readonly clock: () => number;
  readonly leaseTtlMs: number;
  /** The pause between two looks at the database. */
  readonly pulseMs: number;
}

/** What has to be done before the first lease after the database was away. */
export interface DatabaseOutage {
  /**
   * Counts wallets again that ended while the database was away: what was spent from them may not be settled yet, and
   * another router must not get it once more. Does nothing where it was not away. Rejects as the database does, and then has
   * it still to do.
   */
  recover(): Promise<void>;
  stop(): void;
}

/** Looks at the database now and then, so that a replica knows of an outage in which nobody asked it for anything. */
export function watchDatabase({ database, clock, leaseTtlMs, pulseMs }: DatabaseOutageOptions): DatabaseOutage {
  const state: { sinceMs?: number | undefined; timer?: NodeJS.Timeout; stopped: boolean } = { stopped: false };

  async function look(): Promise<void> {
    const askedAtMs = clock();
    if (!(await database.ping())) state.sinceMs ??= askedAtMs;
    if (!state.stopped) state.timer = setTimeout(look, pulseMs).unref();
  }
  state.timer = setTimeout(look, pulseMs).unref();

  return {
    async recover() {
      const { sinceMs } = state;
      if (sinceMs === undefined) return;
      const nowMs = clock();
      await reviveLeases(database.em(), sinceMs - leaseTtlMs, nowMs, nowMs + leaseTtlMs);
      if (state.sinceMs === sinceMs) state.sinceMs = undefined;
    },
    stop() {
      state.stopped = true;
      clearTimeout(state.timer);
    },
  };
}
