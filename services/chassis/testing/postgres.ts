import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findPostgres, startPostgresServer } from "#chassis/database/postgres-server.ts";
import type { Secret } from "#chassis/secret.ts";
import { readTestEnv, type TestConfig } from "#chassis/testing/config.ts";

/** A real PostgreSQL for one test file, empty at its start. */
export interface TestPostgres {
  readonly url: Secret;
  /** Freezes the server: connections stay open and nothing is answered. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Stops the server and starts it again on the same port and data. */
  restart(): Promise<void>;
  /** Stops the server, which `restart` brings back. */
  down(): Promise<void>;
  /** Stops the server and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts a PostgreSQL of this machine on a directory that goes away at `stop`. Undefined where there is none: the test
 * leaves its cases out, unless SLUICE_REQUIRE_MESH_TESTS is 1, which makes it an error.
 */
export async function startTestPostgres(config: TestConfig = readTestEnv()): Promise<TestPostgres | undefined> {
  const binDir = findPostgres(config.path);
  if (binDir === undefined) {
    if (config.requireMesh) throw new Error("no PostgreSQL (initdb, postgres) was found on this machine");
    return undefined;
  }
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-pg-"));
  const options = { binDir, dataDir, fsync: false };
  let server = await startPostgresServer(options);
  return {
    url: server.url,
    pause: () => pause(server.pid),
    resume: () => resume(server.pid),
    down: () => server.stop(),
    async restart() {
      await server.stop();
      server = await startPostgresServer({ ...options, port: server.port });
    },
    async stop() {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/**
 * The server's backends are children in sessions of their own, so each gets its signal. While the server itself stands
 * still it makes no further ones, and those that end stay until it has seen that.
 */
async function pause(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  while (!(await isStopped(pid))) await sleep(1);
  for (const child of await childrenOf(pid)) process.kill(child, "SIGSTOP");
}

async function resume(pid: number): Promise<void> {
  for (const child of await childrenOf(pid)) process.kill(child, "SIGCONT");
  process.kill(pid, "SIGCONT");
}

/** A signal is sent before it has arrived. Where there is no /proc nothing is known of it. */
async function isStopped(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") T");
  return /\) [Tt]/.test(status);
}

async function childrenOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return children.split(" ").map(Number).filter(Boolean);
}
