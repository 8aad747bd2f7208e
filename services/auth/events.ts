import type { Meter } from "@opentelemetry/api";
import { errorText, type Logger } from "#chassis/log.ts";

/** How a look-up of a key ended. */
export type AuthenticationOutcome = "master" | "virtual" | "token" | "refused_token" | "unknown" | "unavailable";

/** What happens in auth, as metrics and log lines: one function per event. Keys appear by the start of their hash. */
export interface AuthTelemetry {
  authenticated(outcome: AuthenticationOutcome): void;
  /** Something was made, changed or deleted: `scope` names it, `by` the user or key that did it. */
  changed(changes: readonly { readonly scope: string; readonly action: string }[], by: string): void;
  /** The budget that `max_end_user_budget_id` names is not there: customers without limits have none. Told once. */
  customerBudgetMissing(budgetId: string): void;
  /** The end of the audit's chain was sealed: whoever keeps the log can tell a rewritten chain by it. */
  auditAnchored(seq: bigint, hash: string): void;
  auditTrimmed(rows: number, upTo: bigint): void;
  auditKeepingFailed(error: unknown): void;
  /** Accounting has not forgotten yet what ended scopes have spent. */
  forgettingFailed(error: unknown): void;
  announcementFailed(error: unknown): void;
  /** The keys of an issuer of tokens cannot be had. */
  issuerUnanswered(url: string, error: unknown): void;
  /** A key that is due was not replaced; it is tried again. */
  rotationFailed(error: unknown): void;
  /** What processes tell each other of the master key and the keyring was not read; it is tried again. */
  masterKeysUnread(error: unknown): void;
  /** The master key was replaced, and the file that it came from still holds the old one. */
  masterKeyNotKept(error: unknown): void;
}

export function createAuthTelemetry(meter: Meter, log: Logger): AuthTelemetry {
  const lookups = meter.createCounter("sluice.auth.lookups", { description: "Keys looked up, by outcome" });
  const changes = meter.createCounter("sluice.auth.changes", { description: "Changes by administrators, by kind" });
  const told = { budgetMissing: false };
  return {
    authenticated: (outcome) => lookups.add(1, { outcome }),
    changed(list, by) {
      for (const { scope, action } of list) {
        const kind = scope.slice(0, scope.indexOf(":"));
        changes.add(1, { kind, action });
        log.info(`${kind} ${action}`, { scope: shortScope(scope), by: short(by) });
      }
    },
    customerBudgetMissing(budgetId) {
      if (told.budgetMissing) return;
      told.budgetMissing = true;
      log.error("the budget of max_end_user_budget_id is missing: customers are not limited", { budget_id: budgetId });
    },
    auditAnchored: (seq, hash) => log.info("audit anchored", { seq: String(seq), hash }),
    auditTrimmed: (rows, upTo) => log.info("audit trimmed", { rows, upTo: String(upTo) }),
    auditKeepingFailed: (error) => log.warn("the audit is not anchored yet", { error: errorText(error) }),
    forgettingFailed: (error) =>
      log.warn("spend of what was deleted is not forgotten yet", { error: errorText(error) }),
    rotationFailed: (error) => log.warn("a key that is due is not replaced yet", { error: errorText(error) }),
    masterKeysUnread: (error) => log.warn("replaced master keys cannot be read", { error: errorText(error) }),
    masterKeyNotKept: (error) =>
      log.error("the master key was replaced, and its file was not written: write the new key there", {
        error: errorText(error),
      }),
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
