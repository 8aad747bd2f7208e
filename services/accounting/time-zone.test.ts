import assert from "node:assert/strict";
import { test } from "node:test";
import { budgetWindowAt } from "./budget-window.ts";
import { timeZone, utc } from "./time-zone.ts";

test("windows end when the clocks of the zone say so, also where they are turned", () => {
  const cases: [zone: string, duration: [number, "d" | "mo" | "w" | "h"], now: string, start: string, end: string][] = [
    ["Europe/Berlin", [1, "d"], "2026-01-15T22:59:59Z", "2026-01-14T23:00:00Z", "2026-01-15T23:00:00Z"],
    ["Europe/Berlin", [1, "d"], "2026-01-15T23:00:00Z", "2026-01-15T23:00:00Z", "2026-01-16T23:00:00Z"],
    // Clocks are put forward on 29 March: the day has 23 hours.
    ["Europe/Berlin", [1, "d"], "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"],
    // And back on 25 October: it has 25.
    ["Europe/Berlin", [1, "d"], "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"],
    ["America/New_York", [1, "mo"], "2026-03-01T04:59:00Z", "2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z"],
    ["America/New_York", [1, "mo"], "2026-03-15T00:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"],
    ["Asia/Kolkata", [1, "h"], "2026-01-15T10:10:00Z", "2026-01-15T09:30:00Z", "2026-01-15T10:30:00Z"],
    ["Pacific/Auckland", [1, "w"], "2026-01-18T12:00:00Z", "2026-01-18T11:00:00Z", "2026-01-25T11:00:00Z"],
    ["UTC", [1, "d"], "2026-01-15T22:59:59Z", "2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z"],
  ];
  for (const [name, [amount, unit], now, start, end] of cases) {
    const window = budgetWindowAt({ amount, unit }, 0, Date.parse(now), timeZone(name));
    const shown = [window.startMs, window.endMs ?? 0].map((ms) => new Date(ms).toISOString().replace(".000", ""));
    assert.deepEqual(shown, [start, end], `${name} ${amount}${unit} ${now}`);
  }
});

test("there and back is the same moment, all year round", () => {
  const zone = timeZone("America/Sao_Paulo");
  const berlin = timeZone("Europe/Berlin");
  for (let ms = Date.UTC(2026, 0, 1, 0, 30); ms < Date.UTC(2027, 0, 1); ms += 7_200_000) {
    assert.equal(zone.toInstant(zone.toLocal(ms)), ms);
    const back = berlin.toInstant(berlin.toLocal(ms));
    // The hour that is shown twice is taken for the first of the two.
    assert.ok(back === ms || ms - back === 3_600_000, new Date(ms).toISOString());
  }
  assert.equal(timeZone("Etc/UTC"), utc);
  assert.throws(() => timeZone("Mars/Olympus"), RangeError);
});
