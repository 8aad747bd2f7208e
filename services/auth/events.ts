import type { Meter } from "@opentelemetry/api";
import { errorText, type Logger } from "#chassis/log.ts";

/** How a look-up of a key ended. */
export type AuthenticationOutcome = "master" | "virtual" | "unknown" | "unavailable";

/** What happens in auth, as metrics and log lines: one function per event. Keys appear by the start of their hash. */
export interface AuthTelemetry {
  authenticated(outcome: AuthenticationOutcome): void;
  keyGenerated(keyId: string, by: string): void;
  keysDeleted(keyIds: readonly string[], by: string): void;
  announcementFailed(error: unknown): void;
}

export function createAuthTelemetry(meter: Meter, log: Logger): AuthTelemetry {
  const lookups = meter.createCounter("sluice.auth.lookups", { description: "Keys looked up, by outcome" });
  const changes = meter.createCounter("sluice.auth.key.changes", { description: "Virtual keys made and deleted" });
  return {
    authenticated: (outcome) => lookups.add(1, { outcome }),
    keyGenerated(keyId, by) {
      changes.add(1, { change: "generated" });
      log.info("key generated", { key: short(keyId), by: short(by) });
    },
    keysDeleted(keyIds, by) {
      changes.add(keyIds.length, { change: "deleted" });
      for (const keyId of keyIds) log.info("key deleted", { key: short(keyId), by: short(by) });
    },
    announcementFailed: (error) => log.warn("changed keys are not announced yet", { error: errorText(error) }),
  };
}

function short(keyId: string): string {
  return keyId.slice(0, 8);
}
