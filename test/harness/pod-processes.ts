import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "#chassis/server-process.ts";
import { readTestEnv } from "#chassis/testing/config.ts";
import { configFile, type Profile, type Workload } from "./manifests.ts";

/** One process with the environment of a pod. */
export interface PodProcess {
  readonly workload: Workload;
  /** Its one open port on this machine. */
  readonly url: string;
  output(): string;
  /** Ends it as a cluster does; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export interface PodSurroundings {
  /** What the Secret holds, by key. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly natsUrl: string;
  readonly dataDir: string;
}

const readyMs = 60_000;
const mainFile = join(import.meta.dirname, "../../services/main.ts");

/**
 * Starts one process for every workload of a profile, with exactly the variables of its pod. Only what a cluster would
 * give differs: names of Services become addresses on this machine, NATS is one server, paths lead to a temporary folder.
 */
export async function startPods(profile: Profile, around: PodSurroundings): Promise<PodProcess[]> {
  const ports = new Map<string, number>();
  for (const { name } of profile.workloads) ports.set(name, await freePort());
  const pods = profile.workloads.map((workload) => startPod(profile, workload, ports, around));
  try {
    await Promise.all(pods.map(untilReady));
  } catch (error) {
    await Promise.all(pods.map((pod) => pod.stop()));
    throw error;
  }
  return pods;
}

/** The workload behind an address in a variable, and the name of its port. Throws where no Service leads there. */
export function resolveAddress(profile: Profile, address: string): { workload: Workload; port: string } {
  const { hostname, port } = new URL(address);
  const service = profile.services.find(({ name }) => name === hostname);
  const target = service?.ports.get(Number(port));
  const workload = profile.workloads.find(({ labels }) =>
    Object.entries(service?.selector ?? { none: "" }).every(([key, value]) => labels[key] === value),
  );
  if (target === undefined || workload?.ports.has(target) !== true) throw new Error(`nobody is at ${address}`);
  return { workload, port: target };
}

function startPod(
  profile: Profile,
  workload: Workload,
  ports: ReadonlyMap<string, number>,
  around: PodSurroundings,
): PodProcess {
  const port = String(ports.get(workload.name));
  const env = Object.entries(workload.env).map(([name, value]) => {
    if (value.startsWith("secret:")) return [name, around.secrets[value.slice("secret:".length)]];
    if (/^SLUICE_.*_URL$/.test(name)) {
      return [name, `http://127.0.0.1:${ports.get(resolveAddress(profile, value).workload.name)}`];
    }
    return [name, value];
  });
  const { path } = readTestEnv();
  const child = spawn(process.execPath, [mainFile], {
    env: {
      ...Object.fromEntries(env),
      NATS_URL: around.natsUrl,
      SLUICE_NATS_REPLICAS: "1",
      CONFIG_FILE_PATH: configFile,
      SLUICE_DATA_DIR: join(around.dataDir, workload.name),
      ...(workload.ports.has("http")
        ? { HOST: "127.0.0.1", PORT: port }
        : { SLUICE_RPC_HOST: "127.0.0.1", SLUICE_RPC_PORT: port }),
      PATH: path,
      HOME: tmpdir(),
      TZ: "UTC",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const exited = once(child, "close").then(([code]) => (typeof code === "number" ? code : null));
  return {
    workload,
    url: `http://127.0.0.1:${port}`,
    output: () => output,
    stop() {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

async function untilReady(pod: PodProcess): Promise<void> {
  const deadline = Date.now() + readyMs;
  for (;;) {
    const response = await fetch(`${pod.url}/health/readiness`).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok === true) return;
    if (Date.now() > deadline || pod.output().includes("cannot start")) {
      throw new Error(`${pod.workload.name} did not start:\n${pod.output()}`);
    }
    await sleep(50);
  }
}
