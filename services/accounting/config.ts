import { type Environment, integer, text } from "#chassis/environment.ts";
import { type TimeZone, timeZone, utc } from "./time-zone.ts";

/** The settings of accounting. All times are milliseconds. */
export interface AccountingConfig {
  /** How long a wallet lives without being renewed. */
  readonly leaseTtlMs: number;
  /** How long granted requests and tokens may be used; the sliding window counts them that much longer. */
  readonly rateHoldMs: number;
  /** How long the unsettled money of a closed wallet stays reserved. */
  readonly settleGraceMs: number;
  /** The shortest time between two recalls of the same scope, and between two notices of changed spend. */
  readonly noticeIntervalMs: number;
  /** How often partitions are made ahead and stale rows removed. */
  readonly housekeepingMs: number;
  /** How often the database is looked at, so that an outage is known of. */
  readonly databasePulseMs: number;
  /** On whose clocks budget windows end. */
  readonly timeZone: TimeZone;
}

export function readEnv(env: Environment): AccountingConfig {
  return {
    leaseTtlMs: integer(env, "SLUICE_LEASE_TTL_MS", 30_000, 1000, 600_000),
    rateHoldMs: integer(env, "SLUICE_RATE_HOLD_MS", 2000, 200, 5000),
    settleGraceMs: 2000,
    noticeIntervalMs: 250,
    housekeepingMs: 600_000,
    databasePulseMs: 1000,
    timeZone: readTimeZone(text(env, "SLUICE_TIMEZONE")),
  };
}

function readTimeZone(name: string | undefined): TimeZone {
  try {
    return name === undefined ? utc : timeZone(name);
  } catch {
    throw new Error(`SLUICE_TIMEZONE has to be the name of a time zone such as Europe/Berlin, it is '${name}'`);
  }
}
