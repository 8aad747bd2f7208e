import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer, startNatsServer } from "#chassis/events/nats-server.ts";
import { readTestEnv, type TestConfig } from "#chassis/testing/config.ts";

/** A real NATS server with JetStream for one test file. */
export interface TestNats {
  readonly url: string;
  /** Stops the server, which `restart` brings back. */
  down(): Promise<void>;
  /** Stops the server and starts it again on the same port and data. */
  restart(): Promise<void>;
  /** Stops the server and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts the `nats-server` of this machine on a directory that goes away at `stop`. Undefined where there is none: the
 * test leaves its cases out, unless SLUICE_REQUIRE_MESH_TESTS is 1, which makes it an error.
 */
export async function startTestNats(config: TestConfig = readTestEnv()): Promise<TestNats | undefined> {
  const command = findNatsServer(config.path);
  if (command === undefined) {
    if (config.requireMesh) throw new Error("no nats-server was found on this machine");
    return undefined;
  }
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-nats-"));
  let server = await startNatsServer({ command, dataDir });
  return {
    url: server.url,
    down: () => server.stop(),
    async restart() {
      await server.stop();
      server = await startNatsServer({ command, dataDir, port: server.port });
    },
    async stop() {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
