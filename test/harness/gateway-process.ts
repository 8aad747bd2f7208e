import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findPostgres } from "#chassis/database/postgres-server.ts";
import { findNatsServer } from "#chassis/events/nats-server.ts";
import { freePort } from "#chassis/server-process.ts";
import { readTestEnv } from "#chassis/testing/config.ts";

/** A gateway as a user starts it: the real entry point in processes of its own. */
export interface GatewayProcess {
  readonly url: string;
  readonly masterKey: string;
  readonly dataDir: string;
  /** Everything it printed so far, on both streams. */
  output(): string;
  request(path: string, init?: { key?: string; body?: unknown; signal?: AbortSignal }): Promise<Response>;
  /** The process ids of the mesh's services; empty for a single process. */
  servicePid(name: string): number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code when the process is gone and everything it printed was read. */
  readonly exited: Promise<number | null>;
  /** Ends it in good order. */
  stop(): Promise<void>;
}

export interface GatewayProcessOptions {
  readonly entry: "services/main.ts" | "services/mesh/local-mesh.ts";
  readonly env?: Readonly<Record<string, string>>;
  /** Kept by the caller; a temporary one if absent, which `removeDataDir` removes. */
  readonly dataDir: string;
  /** Left out, the gateway generates one. */
  readonly masterKey?: string;
}

const root = join(import.meta.dirname, "../..");
const readyMs = 90_000;

export function makeDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), "sluice-test-"));
}

export function removeDataDir(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true });
}

/** Whether this machine can run the mesh; throws where it must and cannot. */
export function meshAvailable(): boolean {
  const { path, requireMesh } = readTestEnv();
  const available = findPostgres(path) !== undefined && findNatsServer(path) !== undefined;
  if (!available && requireMesh) throw new Error("the mesh tests need PostgreSQL and nats-server");
  if (!available) console.log("the mesh tests are left out: PostgreSQL or nats-server is not installed");
  return available;
}

export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const port = await freePort();
  const child = spawn(process.execPath, [join(root, options.entry), "--port", String(port), "--host", "127.0.0.1"], {
    env: { ...baseEnvironment(), ...options.env, ...keyVariable(options), SLUICE_DATA_DIR: options.dataDir },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const exited = once(child, "close").then(([code]) => code as number | null);
  await untilReady(child, exited, () => output);
  const masterKey = options.masterKey ?? (await readMasterKey(options));
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    masterKey,
    dataDir: options.dataDir,
    output: () => output,
    request: (path, init = {}) => send(`${url}${path}`, init.key ?? masterKey, init.body, init.signal),
    servicePid: (name) => Number(new RegExp(`^ *${name} +pid (\\d+)`, "m").exec(output)?.[1]),
    kill: (signal) => void child.kill(signal),
    exited,
    async stop() {
      child.kill("SIGTERM");
      await exited;
      const cluster = /PostgreSQL in (\/var\/tmp\/sluice-[0-9a-f]+)\)/.exec(output)?.[1];
      if (cluster !== undefined) await rm(cluster, { recursive: true, force: true });
    },
  };
}

/** Nothing of the developer's own keys or addresses reaches a gateway under test. */
function baseEnvironment(): Record<string, string> {
  const { path } = readTestEnv();
  return { PATH: path, HOME: tmpdir(), TZ: "UTC" };
}

function keyVariable({ masterKey }: GatewayProcessOptions): Record<string, string> {
  return masterKey === undefined ? {} : { LITELLM_MASTER_KEY: masterKey };
}

async function readMasterKey({ entry, dataDir }: GatewayProcessOptions): Promise<string> {
  const folder = entry.endsWith("local-mesh.ts") ? join(dataDir, "mesh") : dataDir;
  return (await readFile(join(folder, "master.key"), "utf8")).trim();
}

async function untilReady(child: ChildProcess, exited: Promise<unknown>, output: () => string): Promise<void> {
  const deadline = Date.now() + readyMs;
  while (!output().includes("Try it:")) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      await exited;
      throw new Error(`the gateway did not start:\n${output()}`);
    }
    await sleep(20);
  }
}

function send(url: string, key: string, body: unknown, signal: AbortSignal | undefined): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const init = body === undefined ? { headers } : { headers, method: "POST", body: JSON.stringify(body) };
  return fetch(url, { ...init, signal: signal ?? AbortSignal.timeout(60_000) });
}
