import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { freePort } from "#chassis/server-process.ts";
import { type ServiceName, serviceNames } from "#chassis/service.ts";
import { createAuthority, type TestAuthority, writeIdentity } from "#chassis/testing/certificates.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { type Gateway, startGateway } from "../services/mesh/gateway.ts";
import { makeDataDir, meshAvailable, removeDataDir } from "./harness/gateway-process.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const masterKey = "sk-test-master";
const echo = { model: "mock/echo", messages: [{ role: "user", content: "Hello!" }] };

interface Replica {
  readonly service: ServiceName;
  readonly port: number;
  readonly probePort: number;
  readonly dataDir: string;
  gateway: Gateway;
}

/** Every service twice, each replica with ports of its own that it keeps over restarts. */
class TwinMesh {
  readonly #shared: Readonly<Record<string, string | undefined>>;
  readonly #scheme: string;
  readonly replicas: Replica[] = [];
  readonly #ports = new Map<ServiceName, readonly number[]>();
  /** Of the replica that restarts. */
  #leaving: number | undefined;
  /** Requests that wait for the head of their answer, by the port of their edge. */
  readonly #waiting = new Map<number, number>();
  #turn = 0;

  constructor(scheme: string, shared: Readonly<Record<string, string | undefined>>) {
    this.#scheme = scheme;
    this.#shared = shared;
  }

  async start(dataDir: string, changes: Readonly<Record<string, string>>): Promise<void> {
    for (const service of serviceNames) this.#ports.set(service, [await freePort(), await freePort()]);
    for (const service of ["accounting", "auth", "provider-adapter", "router", "edge"] as const) {
      for (const port of this.#ports.get(service) ?? []) {
        const own = { service, port, probePort: await freePort(), dataDir: join(dataDir, `${service}-${port}`) };
        this.replicas.push({ ...own, gateway: await startGateway(this.#environment(own, changes)) });
      }
    }
  }

  /** Restarts one replica after the other, as a cluster does. */
  async roll(changes: Readonly<Record<string, string>>): Promise<void> {
    for (const replica of this.replicas) {
      this.#leaving = replica.port;
      await sleep(100);
      // One that its edge has not read yet would be lost with its connection.
      while ((this.#waiting.get(replica.port) ?? 0) > 0) await sleep(5);
      await replica.gateway.close();
      replica.gateway = await startGateway(this.#environment(replica, changes));
      this.#leaving = undefined;
    }
  }

  async close(): Promise<void> {
    for (const { gateway } of this.replicas.toReversed()) await gateway.close();
  }

  /** Sends a request as a load balancer does, which takes a pod out before it stops. */
  async request(path: string, { key = masterKey, body }: { key?: string; body?: unknown } = {}): Promise<Response> {
    const init = {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", connection: "close" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    const edges = (this.#ports.get("edge") ?? []).filter((port) => port !== this.#leaving);
    const edge = edges[this.#turn++ % edges.length] ?? assert.fail();
    const count = (change: number) => this.#waiting.set(edge, (this.#waiting.get(edge) ?? 0) + change);
    count(1);
    return fetch(`http://127.0.0.1:${edge}${path}`, init).finally(() => count(-1));
  }

  #environment({ service, port, probePort, dataDir }: Omit<Replica, "gateway">, changes: Record<string, string>) {
    const url = (name: ServiceName) =>
      (this.#ports.get(name) ?? []).map((each) => `${this.#scheme}://localhost:${each}`).join(",");
    return {
      ...this.#shared,
      SLUICE_SERVICES: service,
      SLUICE_AUTH_URL: url("auth"),
      SLUICE_ROUTER_URL: url("router"),
      SLUICE_PROVIDER_ADAPTER_URL: url("provider-adapter"),
      SLUICE_ACCOUNTING_URL: url("accounting"),
      SLUICE_DATA_DIR: dataDir,
      SLUICE_PROBE_PORT: String(probePort),
      HOST: "127.0.0.1",
      ...(service === "edge"
        ? { PORT: String(port) }
        : { SLUICE_RPC_HOST: "127.0.0.1", SLUICE_RPC_PORT: String(port) }),
      ...changes,
    };
  }
}

/** Calls on and on, one in three of them a stream, and makes new keys now and then, for which auth has to be asked. */
function startLoad(mesh: TwinMesh) {
  const state = { stopped: false, calls: new Map<string, number>(), failures: [] as string[] };
  const caller = async (stream: boolean) => {
    let key = await generateKey(mesh);
    for (let at = 0; !state.stopped; at++) {
      if (at % 20 === 19) key = await generateKey(mesh);
      const mock = { tokens: 10, chunk_interval_ms: stream ? 20 : 0 };
      const response = await mesh.request("/v1/chat/completions", { key, body: { ...echo, stream, mock } });
      const text = await response.text();
      if (response.status !== 200 || (stream && !text.includes("[DONE]"))) {
        state.failures.push(`${response.status} ${text}`);
      }
      state.calls.set(key, (state.calls.get(key) ?? 0) + 1);
      await sleep(10);
    }
  };
  const running = Promise.all([caller(false), caller(false), caller(true)]);
  return {
    async stop() {
      state.stopped = true;
      await running;
      return state;
    },
  };
}

/** No call has failed, and each has its row. */
async function assertUnharmed(mesh: TwinMesh, load: ReturnType<typeof startLoad>): Promise<void> {
  const { calls, failures } = await load.stop();
  assert.deepEqual(failures, []);
  const total = [...calls.values()].reduce((sum, each) => sum + each, 0);
  assert.ok(total > 50, `${total} calls`);
  for (const [key, count] of calls) await spendRows(mesh, key, count);
}

if (meshAvailable()) {
  describe("a mesh of two replicas each, under load", () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let dataDir: string;
    let mesh: TwinMesh | undefined;
    const meshes: TwinMesh[] = [];
    const startTwins = async (scheme: string, changes: Readonly<Record<string, string>>) => {
      const started = new TwinMesh(scheme, shared());
      meshes.push(started);
      await started.start(join(dataDir, scheme), changes);
      return started;
    };
    const shared = () => ({
      NATS_URL: nats?.url,
      DATABASE_URL: postgres?.url.reveal(),
      SLUICE_MASTER_KEY: masterKey,
      SLUICE_LOG: "error",
    });
    before(async () => {
      [nats, postgres, dataDir] = await Promise.all([startTestNats(), startTestPostgres(), makeDataDir()]);
    });
    after(async () => {
      for (const each of meshes) await each.close();
      await Promise.all([nats?.stop(), postgres?.stop()]);
      await removeDataDir(dataDir);
    });

    test("another mesh token takes the place of the first", async () => {
      const twins = await startTwins("http", { SLUICE_MESH_TOKEN: "old" });
      const load = startLoad(twins);
      try {
        await sleep(500);
        for (const tokens of ["old,new", "new,old", "new"]) await twins.roll({ SLUICE_MESH_TOKEN: tokens });
        await sleep(500);
      } finally {
        await load.stop();
      }
      await assertUnharmed(twins, load);
    });

    test("other certificates and another authority take the place of the first, without a restart", async () => {
      const [first, second] = [await createAuthority("first"), await createAuthority("second")];
      const folder = join(dataDir, "certificates");
      await mkdir(folder);
      const replace = async (by: TestAuthority, trusted: readonly TestAuthority[]) => {
        const files = await writeIdentity(folder, await by.issue(), trusted);
        // Every process looks at them every two seconds. A machine that stalls shortens one of the pauses alone.
        for (let pauses = 0; pauses < 6; pauses += 1) await sleep(500);
        return files;
      };
      const files = await replace(first, [first]);
      mesh = await startTwins("https", {
        SLUICE_TLS_CERT: files.certificate,
        SLUICE_TLS_KEY: files.key,
        SLUICE_TLS_CA: files.authorities,
      });
      const load = startLoad(mesh);
      try {
        await replace(first, [first]);
        await replace(first, [first, second]);
        await replace(second, [first, second]);
        await replace(second, [second]);
      } finally {
        await load.stop();
      }
      await assertUnharmed(mesh, load);
    });

    test("probes need no certificate, at a port of their own", async () => {
      for (const { service, probePort, port } of mesh?.replicas ?? []) {
        const health = createClient(Health, createGrpcTransport({ baseUrl: `http://127.0.0.1:${probePort}` }));
        assert.equal((await health.check({})).status, Status.SERVING, service);
        const metrics = await fetch(`http://127.0.0.1:${probePort}/metrics`);
        assert.match(await metrics.text(), /^# HELP/, service);
        if (service !== "edge") await assert.rejects(fetch(`http://127.0.0.1:${port}/metrics`), service);
      }
      const ready = await mesh?.request("/health/readiness");
      assert.match((await ready?.text()) ?? "", /"db":"connected"/);
    });
  });
}
