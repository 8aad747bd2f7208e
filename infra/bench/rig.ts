import type { Arguments } from "./arguments.ts";
import type { LoadGenerator } from "./closed-loop.ts";
import { startSluice } from "./sluice.ts";
import type { Target, TargetName } from "./target.ts";
import { probe, startBarePipe, startPortkey, startUpstream } from "./targets.ts";

/** Everything that runs for the measurements, and what went wrong with it. */
export interface Rig {
  readonly upstream: Target;
  /** The gateways that are up, without `direct`. */
  readonly gateways: readonly Target[];
  readonly generator: LoadGenerator;
  readonly workDir: string;
  readonly path: string;
  note(text: string): void;
  fail(where: string, error: unknown): void;
}

export interface RigOptions extends Pick<Rig, "generator" | "workDir" | "path" | "note" | "fail"> {
  readonly args: Arguments;
  /** Called with every process that was started, so that it is ended whatever happens. */
  started(target: Target): void;
}

/** Starts the fake provider and the gateways one after the other. A gateway that fails is left out. */
export async function startRig(options: RigOptions): Promise<Rig> {
  const { args, generator, workDir, path, note, fail } = options;
  const upstream = await startUpstream(path);
  options.started(upstream);
  await probe(upstream);
  const nodeArgs = args.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${args.profile}`];
  const sluice = { upstream, workDir, path };
  const starts: readonly [TargetName, () => Promise<Target>][] = [
    ["bare pipe", () => startBarePipe(upstream, path)],
    ["sluice", () => startSluice({ ...sluice, name: "sluice", nodeArgs })],
    ["portkey", () => startPortkey(upstream, path)],
    ["sluice mesh", () => startSluice({ ...sluice, name: "sluice mesh" })],
  ];
  const gateways: Target[] = [];
  for (const [name, start] of starts) {
    if (!args.targets.has(name)) continue;
    note(`starting ${name}`);
    try {
      const target = await start();
      options.started(target);
      await probe(target);
      gateways.push(target);
    } catch (error) {
      fail(`start of ${name}`, error);
    }
  }
  return { upstream, gateways, generator, workDir, path, note, fail };
}
