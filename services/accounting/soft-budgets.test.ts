import assert from "node:assert/strict";
import { test } from "node:test";
import { createNoopMeter } from "@opentelemetry/api";
import { createLogger } from "#chassis/log.ts";
import { createAccountingTelemetry } from "./events.ts";
import type { LeaseNeed } from "./lease-request.ts";
import { SoftBudgets } from "./soft-budgets.ts";

const amounts = { nanoUsd: 0n, requests: 0n, tokens: 0n, parallel: 0n };
const need: LeaseNeed = {
  scope: `key:${"a".repeat(64)}`,
  limits: { budgetNanoUsd: undefined, requests: undefined, tokens: undefined, parallel: undefined },
  need: amounts,
  want: amounts,
  partial: false,
  empty: false,
  budgetDuration: "1d",
  softBudget: 2_500_000_000n,
  budgetStartMs: 0,
};

test("a soft budget that is spent is reported once in each window", () => {
  const lines: string[] = [];
  const log = createLogger("info", (line) => lines.push(line));
  const budgets = new SoftBudgets(createAccountingTelemetry(createNoopMeter(), log));
  const check = (spent: bigint, startMs: number) =>
    budgets.check(new Map([[need, { spent, duration: "1d", window: { startMs, endMs: startMs + 86_400_000 } }]]));
  check(2_499_999_999n, 0);
  assert.equal(lines.length, 0);
  check(2_500_000_000n, 0);
  check(9_000_000_000n, 0);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /soft budget spent.*key:aaaaaaaa".*2\.5/);
  check(0n, 86_400_000);
  check(3_000_000_000n, 86_400_000);
  assert.equal(lines.length, 2);
});
