import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
    pause: () => signalAll(server.pid, "SIGSTOP"),
    resume: () => signalAll(server.pid, "SIGCONT"),
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

/** The server's backends are children in sessions of their own, so each gets its signal. */
async function signalAll(pid: number, signal: NodeJS.Signals): Promise<void> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  for (const each of [pid, ...children.split(" ").map(Number).filter(Boolean)]) {
    process.kill(each, signal);
  }
}
