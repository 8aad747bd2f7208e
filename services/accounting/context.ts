import type { Meter } from "@opentelemetry/api";
import type { Database } from "#chassis/database/database.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import type { Logger } from "#chassis/log.ts";
import type { AccountingConfig } from "./config.ts";
import type { ThreadDatabase } from "./settlement-thread.ts";

/** Everything accounting gets from outside. */
export interface AccountingContext {
  /** Opened with `accountingSchema`. The composition closes it, after the service. */
  readonly database: Database;
  readonly events: EventBus;
  readonly log: Logger;
  readonly meter: Meter;
  /**
   * Milliseconds since the epoch. Replicas must agree on the time as well as NTP makes machines agree: a difference
   * shifts sliding windows and TTLs by as much.
   */
  readonly clock: () => number;
  readonly config: AccountingConfig;
  /** How a thread of accounting's own opens the same database; undefined where settling has this thread for itself. */
  readonly thread: ThreadDatabase | undefined;
}
