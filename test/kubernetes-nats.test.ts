import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { NatsBus } from "#chassis/events/nats.ts";
import { streamName } from "#chassis/events/nats-consumer.ts";
import { findNatsServer } from "#chassis/events/nats-server.ts";
import { createLogger } from "#chassis/log.ts";
import { Secret } from "#chassis/secret.ts";
import { freePort, type ServerProcess, startServerProcess } from "#chassis/server-process.ts";
import { readTestEnv } from "#chassis/testing/config.ts";
import { HealthCheckRequestSchema as EventSchema } from "#gen/grpc/health/v1/health_pb.ts";
import { meshAvailable } from "./harness/gateway-process.ts";

const folder = join(import.meta.dirname, "../infra/nats");
const log = createLogger("error", () => {});
/** All digits at its start, so that it would not pass as a text by itself. */
const token = "12345678abcdef";
const encoded = (service: string) => [toBinary(EventSchema, create(EventSchema, { service }))];

/** Three servers with the files of infra/nats, each on ports of its own, and one of them lost. */
if (meshAvailable()) {
  describe("the NATS cluster of the manifests", () => {
    const command = findNatsServer(readTestEnv().path) ?? "";
    let directory: string;
    let clients: number[];
    const servers: ServerProcess[] = [];
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "sluice-nats-cluster-"));
      clients = await Promise.all([0, 1, 2].map(freePort));
      const routes = await Promise.all([0, 1, 2].map(freePort));
      const started = [0, 1, 2].map((at) => startServer(at, clients[at] ?? 0, routes));
      servers.push(...(await Promise.all(started)));
    });
    after(async () => {
      await Promise.all(servers.map((server) => server.stop("SIGKILL")));
      await rm(directory, { recursive: true, force: true });
    });

    async function startServer(at: number, client: number, routes: readonly number[]): Promise<ServerProcess> {
      const own = join(directory, String(at));
      await mkdir(own);
      const replaced = async (file: string, changes: Readonly<Record<string, string>>) => {
        let text = await readFile(join(folder, file), "utf8");
        for (const [from, to] of Object.entries(changes)) {
          assert.ok(text.includes(from), `${file} has no ${from}`);
          text = text.replace(from, to);
        }
        await writeFile(join(own, file), text);
      };
      await replaced("nats.conf", {
        "0.0.0.0:4222": `127.0.0.1:${client}`,
        "0.0.0.0:8222": "127.0.0.1:-1",
        "/run/nats/nats.pid": join(own, "nats.pid"),
        "/data": join(own, "data"),
      });
      await replaced("cluster.conf", { "0.0.0.0:6222": `127.0.0.1:${routes[at]}` });
      const others = routes.map((port) => `nats://route:${token}@127.0.0.1:${port}`).join(",");
      return startServerProcess({
        command,
        args: [`--config=${join(own, "nats.conf")}`, `--routes=${others}`],
        env: { POD_NAME: `sluice-nats-${at}`, QUOTED_TOKEN: `"${token}"` },
        ready: (line) => line.includes("Server is ready"),
        readyTimeoutMs: 15_000,
      });
    }

    const url = () => clients.map((port) => `nats://127.0.0.1:${port}`).join(",");
    const openBus = (replicas: number) =>
      new NatsBus({ url: url(), token: new Secret(token), replicas, name: "t", log });

    test("an event is kept by three servers, also where one was enough before, and survives the loss of one", async () => {
      const single = openBus(1);
      await succeeds(() => single.publishDurable(EventSchema, encoded("kept by one")));
      assert.equal(await replicas(), 1);
      await single.close();
      const bus = openBus(3);
      await succeeds(() => bus.publishDurable(EventSchema, encoded("kept by three")));
      assert.equal(await replicas(), 3);
      const behind = openBus(1);
      await succeeds(() => behind.publishDurable(EventSchema, encoded("from a process that still asks for one")));
      assert.equal(await replicas(), 3);
      await behind.close();
      await servers[0]?.stop("SIGKILL");
      await succeeds(() => bus.publishDurable(EventSchema, encoded("one is lost")));
      const seen = new Set<string>();
      await bus.subscribeDurable(EventSchema, "test", async (batch) => {
        for (const bytes of batch) seen.add(fromBinary(EventSchema, bytes).service);
      });
      await succeeds(async () => assert.equal(seen.size, 4));
      await bus.close();
    });

    test("a client without the token is refused", async () => {
      await assert.rejects(connect({ servers: url().split(","), reconnect: false }), /authorization/i);
    });

    async function replicas(): Promise<number> {
      const connection = await connect({ servers: url().split(","), token });
      try {
        const { config } = await (await jetstreamManager(connection)).streams.info(streamName(EventSchema));
        return config.num_replicas;
      } finally {
        await connection.close();
      }
    }
  });
}

/** Repeats what fails while the servers elect a leader. */
async function succeeds(work: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(200);
    }
  }
}
