import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Environment } from "#chassis/environment.ts";
import { freePort } from "#chassis/server-process.ts";
import { type ServiceName, serviceNames } from "#chassis/service.ts";
import { readTestEnv } from "#chassis/testing/config.ts";

/** The five services, each in two processes of its own, which can be ended and started one by one. */
export interface MeshReplicas {
  /** The addresses of the edges. */
  readonly edges: readonly string[];
  /** Starts one process; resolves when it serves. `env` lies over what all were given. */
  start(service: ServiceName, replica: number, env?: Readonly<Record<string, string>>): Promise<void>;
  /** Ends one as a cluster does, or by `signal`; resolves when it is gone. */
  stop(service: ServiceName, replica: number, signal?: NodeJS.Signals): Promise<void>;
  /** Everything that all processes printed so far. */
  output(): string;
  stopAll(): Promise<void>;
}

const replicas = [0, 1] as const;
const readyMs = 180_000;
const mainFile = join(import.meta.dirname, "../../services/main.ts");

/** Starts nothing yet. `env` is for all: the database, NATS, tokens and keys. */
export async function meshOfReplicas(env: Readonly<Record<string, string>>, dataDir: string): Promise<MeshReplicas> {
  const ports = new Map<string, number>();
  for (const service of serviceNames)
    for (const replica of replicas) ports.set(`${service}-${replica}`, await freePort());
  const url = (service: ServiceName, replica: number) => `http://127.0.0.1:${ports.get(`${service}-${replica}`)}`;
  const both = (service: ServiceName) => replicas.map((replica) => url(service, replica)).join(",");
  const running = new Map<string, ChildProcess>();
  let output = "";

  async function start(
    service: ServiceName,
    replica: number,
    own: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const name = `${service}-${replica}`;
    const port = String(ports.get(name));
    const where =
      service === "edge" ? { HOST: "127.0.0.1", PORT: port } : { SLUICE_RPC_HOST: "127.0.0.1", SLUICE_RPC_PORT: port };
    const { child, ready } = startProcess(
      {
        ...{ SLUICE_AUTH_URL: both("auth"), SLUICE_ROUTER_URL: both("router") },
        ...{ SLUICE_PROVIDER_ADAPTER_URL: both("provider-adapter"), SLUICE_ACCOUNTING_URL: both("accounting") },
        ...{ SLUICE_SERVICES: service, SLUICE_DATA_DIR: join(dataDir, name), ...where, ...env, ...own },
      },
      (text) => {
        output += `[${name}] ${text}`;
      },
    );
    running.set(name, child);
    await ready;
  }

  async function stop(service: ServiceName, replica: number, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = running.get(`${service}-${replica}`);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  return {
    edges: replicas.map((replica) => url("edge", replica)),
    start,
    stop,
    output: () => output,
    async stopAll() {
      for (const service of ["edge", "router", "provider-adapter", "auth", "accounting"] as const) {
        await Promise.all(replicas.map((replica) => stop(service, replica)));
      }
    },
  };
}

/** `ready` rejects with what it printed where it ends, or serves nothing for too long. */
function startProcess(env: Environment, printed: (text: string) => void) {
  const child = spawn(process.execPath, [mainFile], {
    env: { PATH: readTestEnv().path, HOME: tmpdir(), TZ: "UTC", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const closed = once(child, "close");
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
      printed(text);
    });
  }
  const untilReady = async () => {
    const deadline = Date.now() + readyMs;
    while (!output.includes("ready on port")) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        child.kill("SIGKILL");
        await closed;
        throw new Error(`${env.SLUICE_SERVICES} did not start:\n${output}`);
      }
      await sleep(50);
    }
  };
  return { child, ready: untilReady() };
}
