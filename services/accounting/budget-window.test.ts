import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDuration } from "#chassis/duration.ts";
import { budgetWindowAt } from "./budget-window.ts";

test("budget windows are aligned as LiteLLM aligns them", () => {
  const anchor = "2026-01-15T08:30:00Z";
  const cases: [string, string, string, string][] = [
    ["30s", "2026-06-10T12:00:29.999Z", "2026-06-10T12:00:00Z", "2026-06-10T12:00:30Z"],
    ["5m", "2026-06-10T12:04:59Z", "2026-06-10T12:00:00Z", "2026-06-10T12:05:00Z"],
    ["2h", "2026-06-10T13:00:00Z", "2026-06-10T12:00:00Z", "2026-06-10T14:00:00Z"],
    ["1d", "2026-06-10T23:59:59.999Z", "2026-06-10T00:00:00Z", "2026-06-11T00:00:00Z"],
    ["1d", "2026-06-11T00:00:00Z", "2026-06-11T00:00:00Z", "2026-06-12T00:00:00Z"],
    ["7d", "2026-06-10T12:00:00Z", "2026-06-08T00:00:00Z", "2026-06-15T00:00:00Z"],
    ["1w", "2026-06-14T23:59:59Z", "2026-06-08T00:00:00Z", "2026-06-15T00:00:00Z"],
    ["30d", "2026-06-10T12:00:00Z", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"],
    ["1mo", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"],
    ["3mo", "2026-06-10T12:00:00Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z"],
    ["10d", "2026-01-24T23:59:59Z", "2026-01-15T00:00:00Z", "2026-01-25T00:00:00Z"],
    ["10d", "2026-01-25T00:00:00Z", "2026-01-25T00:00:00Z", "2026-02-04T00:00:00Z"],
    ["2w", "2026-01-10T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z"],
  ];
  for (const [duration, now, start, end] of cases) {
    const window = budgetWindowAt(parseDuration(duration), Date.parse(anchor), Date.parse(now));
    const expected = { startMs: Date.parse(start), endMs: Date.parse(end) };
    assert.deepEqual(window, expected, `${duration} at ${now}`);
  }
});
