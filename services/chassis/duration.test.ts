import assert from "node:assert/strict";
import { test } from "node:test";
import { addDuration, parseDuration } from "#chassis/duration.ts";

test("LiteLLM's grammar is read", () => {
  const cases: [string, number, string][] = [
    ["30s", 30, "s"],
    ["5m", 5, "m"],
    ["12h", 12, "h"],
    ["7d", 7, "d"],
    ["1w", 1, "w"],
    ["1mo", 1, "mo"],
    ["007d", 7, "d"],
  ];
  for (const [text, amount, unit] of cases) assert.deepEqual(parseDuration(text), { amount, unit }, text);
});

test("anything else is refused in words", () => {
  for (const text of [
    "",
    "d",
    "10",
    "-1d",
    "0d",
    "1.5h",
    "1 d",
    "1D",
    "1y",
    "1d ",
    "1month",
    "1d2h",
    "٣d",
    "9".repeat(99),
  ]) {
    assert.throws(() => parseDuration(text), /is not a duration/, text);
  }
  for (const text of ["37000d", "999999999999s", "1300mo", "999999999999mo"]) {
    assert.throws(() => parseDuration(text), /hundred years/, text);
  }
});

test("a duration is added to a moment", () => {
  const cases: [string, string, string][] = [
    ["2026-01-31T10:00:00.000Z", "30s", "2026-01-31T10:00:30.000Z"],
    ["2026-02-28T23:59:00.000Z", "5m", "2026-03-01T00:04:00.000Z"],
    ["2026-01-31T10:00:00.000Z", "12h", "2026-01-31T22:00:00.000Z"],
    ["2026-01-31T10:00:00.000Z", "7d", "2026-02-07T10:00:00.000Z"],
    ["2026-01-31T10:00:00.000Z", "1w", "2026-02-07T10:00:00.000Z"],
    ["2026-01-31T10:00:00.000Z", "1mo", "2026-02-28T10:00:00.000Z"],
    ["2024-01-31T10:00:00.000Z", "1mo", "2024-02-29T10:00:00.000Z"],
    ["2026-12-15T10:00:00.000Z", "13mo", "2028-01-15T10:00:00.000Z"],
  ];
  for (const [from, text, to] of cases) {
    assert.equal(addDuration(new Date(from), parseDuration(text)).toISOString(), to, `${from} + ${text}`);
  }
});
