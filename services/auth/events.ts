import type { Meter } from "@opentelemetry/api";
import { errorText, type Logger } from "#chassis/log.ts";

/** How a look-up of a key ended. */
export type AuthenticationOutcome = "master" | "virtual" | "token" | "refused_token" | "unknown" | "unavailable";

/** What happens in auth, as metrics and log lines: one function per event. Keys appear by the start of their hash. */
export interface AuthTelemetry {
  authenticated(outcome: AuthenticationOutcome): void;
  /** Something was made, changed or deleted: `scope` names it, `by` the user or key that did it. */
  changed(changes: readonly { readonly scope: string; readonly action: string }[], by: string): void;
  announcementFailed(error: unknown): void;
  /** The keys of an issuer of tokens cannot be had. */
  issuerUnanswered(url: string, error: unknown): void;
  /** A key that is due was not replaced; it is tried again. */
  rotationFailed(error: unknown): void;
}

export function createAuthTelemetry(meter: Meter, log: Logger): AuthTelemetry {
  const lookups = meter.createCounter("sluice.auth.lookups", { description: "Keys looked up, by outcome" });
  const changes = meter.createCounter("sluice.auth.changes", { description: "Changes by administrators, by kind" });
  return {
    authenticated: (outcome) => lookups.add(1, { outcome }),
    changed(list, by) {
      for (const { scope, action } of list) {
        const kind = scope.slice(0, scope.indexOf(":"));
        changes.add(1, { kind, action });
        log.info(`${kind} ${action}`, { scope: shortScope(scope), by: short(by) });
      }
    },
    rotationFailed: (error) => log.warn("a key that is due is not replaced yet", { error: errorText(error) }),
    issuerUnanswered: (url, error) =>
      log.warn("the keys of an issuer of tokens cannot be read", { url, error: errorText(error) }),
    announcementFailed: (error) => log.warn("changed keys are not announced yet", { error: errorText(error) }),
  };
}

/** A key's scope holds its whole hash. */
function shortScope(scope: string): string {
  return scope.startsWith("key:") ? scope.slice(0, 12) : scope;
}

function short(name: string): string {
  return /^[0-9a-f]{64}$/.test(name) ? name.slice(0, 8) : name;
}
