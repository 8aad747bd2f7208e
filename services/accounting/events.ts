import type { Meter } from "@opentelemetry/api";
import type { Logger } from "#chassis/log.ts";
import { usd } from "./denial.ts";
import type { LimitType } from "./grant.ts";

/** What happens in accounting, as metrics and log lines: one function per event. */
export interface AccountingTelemetry {
  leaseGranted(scopes: number): void;
  leaseRefused(limit: LimitType): void;
  leasesClosed(owner: string): void;
  /** A scope has spent what it was to be warned of; nothing is refused. Amounts in billionths of a US dollar. */
  softBudgetSpent(scope: string, spent: bigint, softBudget: bigint): void;
  /** New rows, rows that were there already, rows without a price, and how long after its end the oldest was settled. */
  batchSettled(batch: { inserted: number; repeated: number; unpriced: number; lagMs: number }): void;
  usageRejected(recordId: string, reason: string): void;
  housekeepingFailed(error: unknown): void;
}

export function createAccountingTelemetry(meter: Meter, log: Logger): AccountingTelemetry {
  const granted = meter.createCounter("sluice.accounting.leases.granted", { description: "Wallets topped up" });
  const refused = meter.createCounter("sluice.accounting.leases.refused", { description: "Leases refused, by limit" });
  const settled = meter.createCounter("sluice.accounting.usage.settled", { description: "Usage records settled" });
  const repeated = meter.createCounter("sluice.accounting.usage.repeated", {
    description: "Usage records delivered again after they were settled",
  });
  const unpriced = meter.createCounter("sluice.accounting.usage.unpriced", {
    description: "Usage records of models without a known price",
  });
  const rejected = meter.createCounter("sluice.accounting.usage.rejected", {
    description: "Usage records that could not be read; they are kept in rejected_usage",
  });
  const warned = meter.createCounter("sluice.accounting.soft_budgets.spent", {
    description: "Soft budgets that were spent in their window, by the kind of their scope",
  });
  const lag = meter.createHistogram("sluice.accounting.settlement.lag", {
    unit: "s",
    description: "From the end of a call to its settlement",
  });
  return {
    leaseGranted: (scopes) => granted.add(scopes),
    leaseRefused: (limit) => refused.add(1, { limit }),
    softBudgetSpent(scope, spent, softBudget) {
      warned.add(1, { kind: scope.slice(0, scope.indexOf(":")) });
      log.warn("soft budget spent", { scope: shortScope(scope), spent: usd(spent), softBudget: usd(softBudget) });
    },
    leasesClosed: (owner) => log.debug("wallets closed", { owner }),
    batchSettled(batch) {
      settled.add(batch.inserted);
      if (batch.repeated > 0) repeated.add(batch.repeated);
      if (batch.unpriced > 0) unpriced.add(batch.unpriced);
      if (batch.inserted > 0) lag.record(Math.max(0, batch.lagMs) / 1000);
    },
    usageRejected(recordId, reason) {
      rejected.add(1);
      log.error("usage record rejected", { recordId: recordId.slice(0, 64), reason });
    },
    housekeepingFailed: (error) => log.warn("housekeeping failed", { error: firstLine(error) }),
  };
}

/** A key's scope holds its whole hash. */
function shortScope(scope: string): string {
  return scope.startsWith("key:") ? scope.slice(0, 12) : scope;
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0]?.slice(0, 200) ?? "";
}
