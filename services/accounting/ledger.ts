import { parseDuration } from "#chassis/duration.ts";
import { type BudgetWindow, budgetWindowAt } from "./budget-window.ts";
import type { TimeZone } from "./time-zone.ts";

/** What a scope has spent in its current window. */
export interface Ledger {
  readonly spent: bigint;
  readonly window: BudgetWindow;
  /** The length of the window as the limits last gave it; empty means that it never resets. */
  readonly duration: string;
}

/**
 * The ledger as it stands at a moment: where its window is over, the spend is zero again and the window is the one that
 * holds the moment. There is no job that resets budgets: whoever reads or charges a ledger passes it through here.
 */
export function ledgerAt(ledger: Ledger, nowMs: number, zone: TimeZone): Ledger {
  if (ledger.window.endMs === undefined || nowMs < ledger.window.endMs) return ledger;
  const window = windowAt(ledger.duration, ledger.window.startMs, nowMs, zone) ?? { startMs: nowMs, endMs: undefined };
  return { spent: 0n, window, duration: ledger.duration };
}

/**
 * The ledger with the window length that the limits ask for now. A change of the length keeps the spend: it counts
 * until the new window ends. The length must be one that `parseDuration` reads, or empty.
 */
export function withDuration(ledger: Ledger, text: string, anchorMs: number, nowMs: number, zone: TimeZone): Ledger {
  const current = ledgerAt(ledger, nowMs, zone);
  if (current.duration === text) return current;
  const window = windowAt(text, anchorMs, nowMs, zone) ?? { startMs: current.window.startMs, endMs: undefined };
  return { spent: current.spent, window, duration: text };
}

function windowAt(duration: string, anchorMs: number, nowMs: number, zone: TimeZone): BudgetWindow | undefined {
  return duration === "" ? undefined : budgetWindowAt(parseDuration(duration), anchorMs, nowMs, zone);
}
