import type { Database } from "#chassis/database/database.ts";
import { removeStale } from "./db/lease-owners.ts";
import type { Partitions } from "./db/partitions.ts";
import type { AccountingTelemetry } from "./events.ts";
import { windowFloor } from "./rate-window.ts";

export interface HousekeepingContext {
  readonly database: Database;
  readonly partitions: Partitions;
  readonly telemetry: AccountingTelemetry;
  readonly clock: () => number;
  readonly intervalMs: number;
}

/** The longest hold a configuration can have; replicas may differ. */
const longestHoldMs = 5000;
const staleLeaseMs = 86_400_000;

/** Makes partitions ahead and removes stale rows, now and then. Nothing depends on it but space and midnight's speed. */
export function startHousekeeping(context: HousekeepingContext): { stop(): Promise<void> } {
  const { database, partitions, telemetry, clock, intervalMs } = context;
  const state: { running: Promise<void> } = { running: Promise.resolve() };

  async function once(): Promise<void> {
    const nowMs = clock();
    try {
      await partitions.ensureAhead(nowMs);
      await removeStale(database.em(), nowMs - staleLeaseMs, windowFloor(nowMs, longestHoldMs));
    } catch (error) {
      telemetry.housekeepingFailed(error);
    }
  }

  const timer = setInterval(() => {
    state.running = state.running.then(once);
  }, intervalMs).unref();
  return {
    stop() {
      clearInterval(timer);
      return state.running;
    },
  };
}
