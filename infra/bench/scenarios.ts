import { setTimeout as sleep } from "node:timers/promises";
import { type Latencies, type OpenLoad, runOpenLoop } from "./open-loop.ts";
import { type ClosedPlan, connections, type OpenPlan, type Plan } from "./plan.ts";
import { cpuSecondsOfTree, figuresOfTree, nodeRssMb, type ProcessFigures } from "./process-figures.ts";
import type { LoadFigures, MemoryFigures, Rounds } from "./results.ts";
import type { Rig } from "./rig.ts";
import { startSluice } from "./sluice.ts";
import { median } from "./statistics.ts";
import type { Target, TargetName } from "./target.ts";
import { wholeRequest } from "./workload.ts";

/** Patience with the memory scenario. */
const memorySeconds = 120;

/** Throughput of the provider itself, then of all gateways in turn. */
export function measureThroughput(
  rig: Rig,
  what: string,
  body: string,
  plan: ClosedPlan,
): Promise<Rounds<LoadFigures>> {
  return inTurn(rig, what, [rig.upstream, ...rig.gateways], plan.rounds, async (target, round) => {
    const { warmUp } = plan;
    if (round === 0 && target !== rig.upstream) await sendRequests(rig, target, body, warmUp.requests, warmUp.seconds);
    else await rig.generator.run(target, { body, connections, seconds: 1 });
    const figures = await underLoad(rig, target, () =>
      rig.generator.run(target, { body, connections, seconds: plan.seconds }),
    );
    rig.note(`${what}, round ${round + 1}: ${target.name} ${Math.round(figures.perSecond)}/s`);
    return figures;
  });
}

async function underLoad(
  rig: Rig,
  target: Target,
  work: () => Promise<{ requests: number; seconds: number; perSecond: number; errors: number }>,
): Promise<LoadFigures> {
  const before = figuresOfTree(target.process.pid);
  const upstreamBefore = cpuSecondsOfTree(rig.upstream.process.pid);
  const { requests, seconds, perSecond, errors } = await work();
  const upstreamAfter = cpuSecondsOfTree(rig.upstream.process.pid);
  return {
    perSecond,
    errors,
    cpuMicros: cpuPerRequest(before, figuresOfTree(target.process.pid), requests),
    upstreamCores:
      upstreamBefore === undefined || upstreamAfter === undefined
        ? undefined
        : (upstreamAfter - upstreamBefore) / seconds,
  };
}

function cpuPerRequest(
  before: readonly ProcessFigures[],
  after: readonly ProcessFigures[],
  requests: number,
): Record<string, number> {
  const micros: Record<string, number> = {};
  for (const { pid, label, cpuSeconds } of after) {
    const used = cpuSeconds - (before.find((earlier) => earlier.pid === pid)?.cpuSeconds ?? 0);
    micros[label] = (micros[label] ?? 0) + (used / requests) * 1e6;
  }
  return micros;
}

/** Latencies at a fixed rate, of the provider itself and of the given gateways in turn. */
export function measureLatency(
  rig: Rig,
  what: string,
  gateways: readonly Target[],
  body: string,
  { rounds, seconds }: OpenPlan,
  ratePerSecond: number,
): Promise<Rounds<Latencies>> {
  const load: OpenLoad = { body, ratePerSecond, seconds };
  return inTurn(rig, what, [rig.upstream, ...gateways], rounds, async (target, round) => {
    const latencies = await runOpenLoop(target, load);
    const { p50, firstByteP50, failed } = latencies;
    rig.note(
      `${what}, round ${round + 1}: ${target.name} p50 ${p50.toFixed(2)} ms, first byte ${firstByteP50.toFixed(2)} ms, ${failed} failed`,
    );
    return latencies;
  });
}

/**
 * Measures all targets round by round, each round starting with another one, so that a machine that drifts favours
 * nobody. `direct` always comes first: what the others add is told from the same round's figure. A target that fails is
 * left out from then on.
 */
async function inTurn<T>(
  rig: Rig,
  what: string,
  targets: readonly Target[],
  rounds: number,
  measure: (target: Target, round: number) => Promise<T>,
): Promise<Rounds<T>> {
  const found = new Map<TargetName, T[]>();
  const failed = new Set<TargetName>();
  const [direct, ...others] = targets;
  for (let round = 0; round < rounds; round += 1) {
    const shift = others.length === 0 ? 0 : round % others.length;
    const order = [direct, ...others.slice(shift), ...others.slice(0, shift)];
    for (const target of order) {
      if (target === undefined || failed.has(target.name)) continue;
      try {
        const figure = await measure(target, round);
        found.set(target.name, [...(found.get(target.name) ?? []), figure]);
      } catch (error) {
        failed.add(target.name);
        found.delete(target.name);
        rig.fail(`${what} of ${target.name}`, error);
      }
    }
  }
  return found;
}

/** Memory of a fresh single process after the first and after the second number of requests. */
export async function measureMemory(rig: Rig, plan: Plan, started: (target: Target) => void): Promise<MemoryFigures> {
  const target = await startSluice({ ...rig, name: "sluice" });
  started(target);
  try {
    const done = await sendRequests(rig, target, wholeRequest(), plan.memory.first, memorySeconds);
    const first = await settledMb(target);
    const samples: number[] = [];
    const sampler = setInterval(() => samples.push(nodeRssMb(target.process.pid) ?? Number.NaN), 250);
    await sendRequests(rig, target, wholeRequest(), plan.memory.second - done, memorySeconds).finally(() =>
      clearInterval(sampler),
    );
    const second = await settledMb(target);
    const third = Math.floor(samples.length / 3);
    const drift = median(samples.slice(-third)) - median(samples.slice(0, third));
    rig.note(`memory: ${Math.round(first)} MB, later ${Math.round(second)} MB`);
    return { first, second, drift };
  } finally {
    await target.process.stop();
  }
}

/** Sends about so many requests, or as many as so many seconds allow, and returns how many it were. */
async function sendRequests(rig: Rig, target: Target, body: string, requests: number, limit: number): Promise<number> {
  let done = 0;
  // The first second shows how fast it is: with a guess that is too low it would be many times as many.
  let perSecond = requests;
  for (let left = limit; done < requests && left > 0; ) {
    const seconds = Math.min(left, 10, Math.max(1, Math.round((requests - done) / perSecond)));
    const result = await rig.generator.run(target, { body, connections, seconds });
    if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
    done += result.requests;
    left -= seconds;
    perSecond = Math.max(1, result.perSecond);
  }
  return done;
}

/** The least of some samples after the load: what is written late is written by then, and collections have run or not. */
async function settledMb(target: Target): Promise<number> {
  const samples: number[] = [];
  await sleep(1_500);
  for (let sample = 0; sample < 5; sample += 1) {
    samples.push(nodeRssMb(target.process.pid) ?? Number.NaN);
    await sleep(300);
  }
  return Math.min(...samples);
}
