import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTelemetry } from "./telemetry.ts";

async function scraped(use: (meter: ReturnType<ReturnType<typeof createTelemetry>["meter"]>) => void) {
  const telemetry = createTelemetry();
  use(telemetry.meter("test"));
  const text = await telemetry.scrape();
  await telemetry.close();
  return text.split("\n").filter((line) => line.includes("x_"));
}

describe("tally meter", () => {
  it("counts equal attributes together, in one object or several, in any order", async () => {
    const lines = await scraped((meter) => {
      const counter = meter.createCounter("x.calls", { description: "Calls" });
      const kept = { a: "1", b: 2 };
      counter.add(1, kept);
      counter.add(2, kept);
      counter.add(3, { b: 2, a: "1" });
      counter.add(5);
    });
    assert.deepEqual(lines, [
      "# HELP x_calls_total Calls",
      "# TYPE x_calls_total counter",
      'x_calls_total{a="1",b="2"} 6',
      "x_calls_total 5",
    ]);
  });

  it("shows an up-down counter as a gauge", async () => {
    const lines = await scraped((meter) => {
      const active = meter.createUpDownCounter("x.active", { description: "Active" });
      active.add(2);
      active.add(-1);
    });
    assert.deepEqual(lines, ["# HELP x_active Active", "# TYPE x_active gauge", "x_active 1"]);
  });

  it("puts a value at a bound below it, and leaves out what no histogram can hold", async () => {
    const lines = await scraped((meter) => {
      const advice = { explicitBucketBoundaries: [1, 2] };
      const histogram = meter.createHistogram("x.time", { unit: "s", description: "Time", advice });
      for (const value of [1, 1.5, 3, -1, Number.NaN]) histogram.record(value, { a: "1" });
    });
    assert.deepEqual(lines.slice(1), [
      "# UNIT x_time s",
      "# TYPE x_time histogram",
      'x_time_count{a="1"} 3',
      'x_time_sum{a="1"} 5.5',
      'x_time_bucket{a="1",le="1"} 1',
      'x_time_bucket{a="1",le="2"} 2',
      'x_time_bucket{a="1",le="+Inf"} 3',
    ]);
  });

  it("bounds the series of an instrument", async () => {
    const lines = await scraped((meter) => {
      const counter = meter.createCounter("x.many");
      for (let at = 0; at < 2100; at += 1) counter.add(1, { at });
    });
    assert.ok(lines.length < 2010);
    assert.ok(lines.includes('x_many_total{otel_metric_overflow="true"} 100'));
  });
});
