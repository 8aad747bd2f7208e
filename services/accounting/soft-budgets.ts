import type { AccountingTelemetry } from "./events.ts";
import type { LeaseNeed } from "./lease-request.ts";
import type { Ledger } from "./ledger.ts";

/** Bounds the memory: beyond it a soft budget may be reported twice in a window. */
const maxRemembered = 10_000;

/** Reports soft budgets that are spent: each once in a window, by every replica that leases for it. */
export class SoftBudgets {
  readonly #telemetry: AccountingTelemetry;
  /** The window that a scope was last reported for, by when it began. */
  readonly #reported = new Map<string, number>();

  constructor(telemetry: AccountingTelemetry) {
    this.#telemetry = telemetry;
  }

  check(watched: ReadonlyMap<LeaseNeed, Ledger>): void {
    for (const [{ scope, softBudget }, { spent, window }] of watched) {
      if (softBudget === undefined || spent < softBudget || this.#reported.get(scope) === window.startMs) continue;
      if (this.#reported.size >= maxRemembered) this.#reported.clear();
      this.#reported.set(scope, window.startMs);
      this.#telemetry.softBudgetSpent(scope, spent, softBudget);
    }
  }
}
