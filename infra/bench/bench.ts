import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Arguments, readArguments, type ScenarioName, usage } from "./arguments.ts";
import { findLoadGenerator } from "./closed-loop.ts";
import { endProcess } from "./managed-process.ts";
import { fullPlan, quickPlan } from "./plan.ts";
import { foreignCpuSeconds, nodeRssMb, processTree } from "./process-figures.ts";
import { evaluate, render, toJson } from "./report.ts";
import type { Results, Rounds } from "./results.ts";
import { type Rig, startRig } from "./rig.ts";
import { measureLatency, measureMemory, measureThroughput } from "./scenarios.ts";
import type { Target, TargetName } from "./target.ts";
import { measureTenancy } from "./tenancy.ts";
import { largeRequest, models, streamRequest, wholeRequest } from "./workload.ts";

/** Measures Sluice, prints what it found, and ends every process it started. */
async function main(args: Arguments, path: string): Promise<void> {
  const workDir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const running = new Set<Target>();
  const stopAll = async () => {
    await Promise.allSettled([...running].map((target) => target.process.stop()));
    await rm(workDir, { recursive: true, force: true });
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      void stopAll().finally(() => {
        // What was only starting, and the load generator.
        for (const pid of processTree(process.pid).slice(1)) endProcess(pid, "SIGTERM");
        process.exit(1);
      });
    });
  }
  try {
    const results = await measure(args, workDir, path, (target) => running.add(target));
    const lines = evaluate(results);
    process.stdout.write(render(results, lines));
    if (args.scenarios.has("translators")) process.stdout.write(measureTranslators());
    if (args.json !== undefined) await writeFile(resolve(args.json), toJson(results, lines));
  } finally {
    await stopAll();
  }
}

async function measure(
  args: Arguments,
  workDir: string,
  path: string,
  started: (target: Target) => void,
): Promise<Results> {
  const failures: string[] = [];
  const began = performance.now();
  const foreign = foreignCpuSeconds() ?? Number.NaN;
  const note = (text: string) =>
    process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text}\n`);
  const fail = (where: string, error: unknown) => {
    failures.push(`${where}: ${error instanceof Error ? error.message : String(error)}`);
    note(`FAILED ${failures.at(-1)}`);
  };
  const generator = findLoadGenerator(path, workDir);
  const machine = describeMachine(generator.name);
  const rig = await startRig({ args, generator, workDir, path, note, fail, started });
  const idleMb = memoryOf(rig);
  const figures = await runScenarios(rig, args, started);
  const endMb = memoryOf(rig);
  const seconds = Math.round((performance.now() - began) / 1000);
  const coresUsedByOthers = (((foreignCpuSeconds() ?? Number.NaN) - foreign) / seconds).toFixed(2);
  return { ...figures, machine: { ...machine, seconds, coresUsedByOthers }, idleMb, endMb, failures };
}

type Measured = Omit<Results, "machine" | "idleMb" | "endMb" | "failures">;

async function runScenarios(rig: Rig, args: Arguments, started: (target: Target) => void): Promise<Measured> {
  const plan = args.quick ? quickPlan : fullPlan;
  const when = <T>(name: ScenarioName, work: () => Promise<Rounds<T>>): Promise<Rounds<T>> =>
    args.scenarios.has(name) ? work() : Promise.resolve(new Map());
  const paced = streamRequest(models.pacedStream);
  const single = rig.gateways.filter(({ name }) => name !== "sluice mesh");
  const mesh = rig.gateways.filter(({ name }) => name === "sluice mesh");
  const { latency, firstToken, largePrompt } = plan;
  return {
    plan,
    throughput: await when("throughput", () => measureThroughput(rig, "throughput", wholeRequest(), plan.closed)),
    streams: await when("streams", () => measureThroughput(rig, "streams", streamRequest(models.stream), plan.streams)),
    latency: await when("latency", () =>
      measureLatency(rig, "latency", single, wholeRequest(), latency, latency.ratePerSecond),
    ),
    meshLatency: await when("latency", () =>
      measureLatency(rig, "mesh latency", mesh, wholeRequest(), latency, latency.meshRatePerSecond),
    ),
    firstToken: await when("first-token", () =>
      measureLatency(rig, "first token", rig.gateways, paced, firstToken, firstToken.ratePerSecond),
    ),
    largePrompt: await when("large-prompt", () =>
      measureLatency(rig, "large prompt", rig.gateways, largeRequest(), largePrompt, largePrompt.ratePerSecond),
    ),
    memory: args.scenarios.has("memory")
      ? await measureMemory(rig, plan, started).catch((error: unknown) => void rig.fail("memory", error))
      : undefined,
    tenancy: args.scenarios.has("tenancy")
      ? await measureTenancy(rig, args.quick).catch((error: unknown) => void rig.fail("tenancy", error))
      : undefined,
  };
}

/** In a process of its own, so that what ran before neither warms it up nor fills its heap. */
function measureTranslators(): string {
  return execFileSync(process.execPath, [join(import.meta.dirname, "translators.ts")], { encoding: "utf8" });
}

function memoryOf(rig: Rig): Map<TargetName, number> {
  const found = new Map<TargetName, number>();
  for (const target of rig.gateways) {
    const rss = nodeRssMb(target.process.pid);
    if (rss !== undefined) found.set(target.name, rss);
  }
  return found;
}

function describeMachine(generator: string): Record<string, string | number> {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? "unknown",
    node: process.version,
    generator,
    loadAverageAtStart: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

try {
  const args = readArguments(process.argv.slice(2));
  if (args.help) process.stdout.write(usage);
  else await main(args, process.env.PATH ?? "");
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
