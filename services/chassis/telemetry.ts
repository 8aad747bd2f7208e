import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Meter } from "@opentelemetry/api";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { createTallyMeter, HistogramTallies } from "./tally.ts";

/** A process's metrics. Services get a Meter; the scrape text is served by whoever owns the port. */
export interface Telemetry {
  meter(name: string): Meter;
  /** All metrics of the process in Prometheus' text format 0.0.4. */
  scrape(): Promise<string>;
  close(): Promise<void>;
}

export function createTelemetry(): Telemetry {
  const histograms = new HistogramTallies();
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  const provider = new MeterProvider({ readers: [exporter] });
  const stopProcessMetrics = observeProcess(provider.getMeter("process"));
  return {
    meter: (name) => createTallyMeter(provider.getMeter(name), histograms),
    async scrape() {
      const { resourceMetrics } = await exporter.collect();
      const { resource, scopeMetrics } = resourceMetrics;
      return serializer.serialize({ resource, scopeMetrics: [...scopeMetrics, histograms.collect()] });
    },
    async close() {
      stopProcessMetrics();
      await provider.shutdown();
    },
  };
}

/** What an operator looks at first: memory, processor time, and how long the event loop keeps people waiting. */
function observeProcess(meter: Meter): () => void {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const memory = meter.createObservableGauge("process.resident_memory", { unit: "By", description: "Resident memory" });
  memory.addCallback((result) => result.observe(process.memoryUsage.rss()));
  const cpu = meter.createObservableCounter("process.cpu.time", { unit: "s", description: "User and system time" });
  cpu.addCallback((result) => {
    const { user, system } = process.cpuUsage();
    result.observe((user + system) / 1e6);
  });
  const lag = meter.createObservableGauge("nodejs.eventloop.delay.p99", {
    unit: "s",
    description: "99th percentile of the event loop's delay since the last scrape",
  });
  lag.addCallback((result) => {
    result.observe(delay.percentile(99) / 1e9);
    delay.reset();
  });
  return () => delay.disable();
}
