import type { Latencies } from "./open-loop.ts";
import type { LoadFigures, Results, Rounds } from "./results.ts";
import { median } from "./statistics.ts";
import { type TargetName, targetNames } from "./target.ts";
import { tenancyLines } from "./tenancy-figures.ts";
import { streamChunks } from "./workload.ts";

/** One figure with what it should be. */
export interface Line {
  readonly what: string;
  /** NaN where it was not measured. */
  readonly figure: number;
  readonly unit: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** Judges the figures of a run. */
export function evaluate(results: Results): Line[] {
  const { throughput, streams, memory } = results;
  const rate = (name: TargetName) => medianOf(throughput, name, perSecond);
  const chunkRate = (name: TargetName) => medianOf(streams, name, perSecond);
  const own = medianOf(results.largePrompt, "sluice", ({ ownP50 }) => ownP50 ?? Number.NaN);
  return [
    { what: "requests/s, sluice ÷ bare pipe", figure: rate("sluice") / rate("bare pipe"), unit: "×", atLeast: 0.5 },
    { what: "requests/s, sluice ÷ portkey", figure: rate("sluice") / rate("portkey"), unit: "×", atLeast: 4 },
    {
      what: "chunks/s of 64 streams, sluice ÷ bare pipe",
      figure: chunkRate("sluice") / chunkRate("bare pipe"),
      unit: "×",
      atLeast: 0.5,
    },
    { what: "added p50 at 200 requests/s", figure: added(results.latency, "sluice", "p50"), unit: "ms", atMost: 1 },
    { what: "added p99 at 200 requests/s", figure: added(results.latency, "sluice", "p99"), unit: "ms" },
    {
      what: "added time to first token (p50)",
      figure: added(results.firstToken, "sluice", "firstByteP50"),
      unit: "ms",
      atMost: 2,
    },
    { what: "own time of a 400 KB prompt (p50)", figure: own, unit: "ms", atMost: 3 },
    {
      what: "requests/s, five processes ÷ portkey",
      figure: rate("sluice mesh") / rate("portkey"),
      unit: "×",
      atLeast: 1.5,
    },
    {
      what: "added p50 at 50 requests/s, five processes",
      figure: added(results.meshLatency, "sluice mesh", "p50"),
      unit: "ms",
      atMost: 5,
    },
    {
      what: `memory after ${results.plan.memory.second} requests − after ${results.plan.memory.first}`,
      figure: memory === undefined ? Number.NaN : memory.second - memory.first,
      unit: "MB",
      ...(results.plan.memory.second < 100_000 ? {} : { atMost: 20 }),
    },
    { what: "memory, drift under load between the two", figure: memory?.drift ?? Number.NaN, unit: "MB" },
    {
      what: "slack of generator and provider: direct ÷ fastest target",
      figure: rate("direct") / Math.max(...gateways(throughput).map(rate)),
      unit: "×",
      atLeast: 1,
    },
    ...tenancyLines(results.tenancy),
  ];
}

/** Undefined where nothing is asked, or nothing was measured. */
export function isMet({ figure, atLeast, atMost }: Line): boolean | undefined {
  if (Number.isNaN(figure) || (atLeast === undefined && atMost === undefined)) return undefined;
  return figure >= (atLeast ?? Number.NEGATIVE_INFINITY) && figure <= (atMost ?? Number.POSITIVE_INFINITY);
}

const perSecond = (figures: LoadFigures) => figures.perSecond;

function gateways(rounds: Rounds<unknown>): TargetName[] {
  return [...rounds.keys()].filter((name) => name !== "direct");
}

function medianOf<T>(rounds: Rounds<T>, name: TargetName, figure: (round: T) => number): number {
  return median((rounds.get(name) ?? []).map(figure));
}

type Latency = "p50" | "p99" | "firstByteP50" | "firstByteP99";

/** What a gateway adds to the provider's own latency: round by round, then the median. */
function added(rounds: Rounds<Latencies>, name: TargetName, figure: Latency): number {
  const direct = rounds.get("direct") ?? [];
  return median((rounds.get(name) ?? []).map((round, at) => round[figure] - (direct[at]?.[figure] ?? Number.NaN)));
}

/** Everything as text: the targets, then the figures of every gateway. */
export function render(results: Results, lines: readonly Line[]): string {
  const judged = lines.map((line) => [line.what, `${number(line.figure)} ${line.unit}`, goal(line), verdict(line)]);
  const { machine, failures } = results;
  return [
    "",
    Object.entries(machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(", "),
    "",
    table(["", "figure", "target", ""], judged),
    "",
    details(results),
    ...(failures.length === 0 ? [] : ["", "What failed:", ...failures.map((failure) => `  ${failure}`)]),
    "",
  ].join("\n");
}

function goal({ atLeast, atMost, unit }: Line): string {
  if (atLeast !== undefined) return `≥ ${atLeast} ${unit}`;
  return atMost === undefined ? "" : `≤ ${atMost} ${unit}`;
}

function verdict(line: Line): string {
  const met = isMet(line);
  if (met === undefined) return Number.isNaN(line.figure) ? "not measured" : "";
  return met ? "met" : "NOT MET";
}

function details(results: Results): string {
  const names = targetNames.filter((name) =>
    [results.throughput, results.latency, results.firstToken, results.meshLatency].some((rounds) => rounds.has(name)),
  );
  const row = (what: string, figure: (name: TargetName) => number) => [
    what,
    ...names.map((name) => number(figure(name))),
  ];
  const { throughput, streams, latency, meshLatency, firstToken, largePrompt, idleMb, endMb } = results;
  const errors = (name: TargetName) =>
    [throughput, streams]
      .flatMap((rounds) => (rounds.get(name) ?? []).map((round) => round.errors))
      .reduce((a, b) => a + b, 0) +
    [latency, meshLatency, firstToken, largePrompt]
      .flatMap((rounds) => (rounds.get(name) ?? []).map((round) => round.failed))
      .reduce((a, b) => a + b, 0);
  return table(
    ["", ...names],
    [
      row("requests/s", (name) => medianOf(throughput, name, perSecond)),
      row("CPU µs/request, all processes", (name) => medianOf(throughput, name, cpuSum)),
      row("cores used by the provider", (name) =>
        medianOf(throughput, name, ({ upstreamCores }) => upstreamCores ?? Number.NaN),
      ),
      row("chunks/s of 64 streams", (name) => medianOf(streams, name, perSecond) * streamChunks),
      row("CPU µs/chunk, all processes", (name) => medianOf(streams, name, cpuSum) / streamChunks),
      row("added p50 ms at 200/s", (name) => added(latency, name, "p50")),
      row("added p99 ms at 200/s", (name) => added(latency, name, "p99")),
      row("added p50 ms at 50/s", (name) => added(meshLatency, name, "p50")),
      row("added p99 ms at 50/s", (name) => added(meshLatency, name, "p99")),
      row("added first token p50 ms", (name) => added(firstToken, name, "firstByteP50")),
      row("added first token p99 ms", (name) => added(firstToken, name, "firstByteP99")),
      row("400 KB: added p50 ms", (name) => added(largePrompt, name, "p50")),
      row("400 KB: own p50 ms", (name) => medianOf(largePrompt, name, ({ ownP50 }) => ownP50 ?? Number.NaN)),
      row("own p50 ms at 200/s", (name) => medianOf(latency, name, ({ ownP50 }) => ownP50 ?? Number.NaN)),
      row("RSS MB, idle", (name) => idleMb.get(name) ?? Number.NaN),
      row("RSS MB, at the end", (name) => endMb.get(name) ?? Number.NaN),
      row("failed requests", errors),
    ],
  );
}

function cpuSum({ cpuMicros }: LoadFigures): number {
  const all = Object.values(cpuMicros);
  return all.length === 0 ? Number.NaN : all.reduce((sum, micros) => sum + micros, 0);
}

function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

/** The same figures, all rounds included, for programs. */
export function toJson(results: Results, lines: readonly Line[]): string {
  const targets = lines.map((line) => ({ ...line, met: isMet(line) ?? null }));
  return `${JSON.stringify({ targets, ...results }, (_key, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value), 2)}\n`;
}
