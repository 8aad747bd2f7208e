import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const hello = { messages: [{ role: "user", content: "Hello!" }] };
const echo = { model: "mock/echo", ...hello };

/** Five processes, and the plug pulled on one thing after the other. */
if (meshAvailable()) {
  describe("the mesh under faults", () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let dataDir: string;
    let gateway: GatewayProcess;
    before(async () => {
      [nats, postgres, dataDir] = await Promise.all([startTestNats(), startTestPostgres(), makeDataDir()]);
      const env = { NATS_URL: nats?.url ?? "", DATABASE_URL: postgres?.url.reveal() ?? "" };
      gateway = await startGatewayProcess({ entry: "services/mesh/local-mesh.ts", dataDir, env });
    });
    after(async () => {
      await gateway?.stop();
      await Promise.all([nats?.stop(), postgres?.stop()]);
      await removeDataDir(dataDir);
    });

    const call = async (key: string, body: unknown = echo) => {
      const response = await gateway.request("/v1/chat/completions", { key, body });
      await response.text();
      return response.status;
    };
    const rpcUrl = (service: string) =>
      `http://127.0.0.1:${new RegExp(`${service} +pid \\d+, port (\\d+)`).exec(gateway.output())?.[1]}`;

    for (const [protocol, transport] of [
      ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
      ["gRPC-Web", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
      ["Connect", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
    ] as const) {
      test(`${protocol}: every port serves health to all and RPCs only to peers with the token`, async () => {
        for (const service of ["auth", "router", "provider-adapter", "accounting"]) {
          const health = createClient(Health, transport(rpcUrl(service)));
          assert.equal((await health.check({})).status, Status.SERVING, service);
        }
        const auth = createClient(AuthService, transport(rpcUrl("auth")));
        await assert.rejects(auth.authenticate({ keyHash: "0".repeat(64) }), (error) => {
          assert.equal(ConnectError.from(error).code, Code.Unauthenticated);
          assert.doesNotMatch(ConnectError.from(error).message, /sk-/);
          return true;
        });
      });
    }

    test("NATS down: calls are answered, and every one has its row once NATS is back", async () => {
      const key = await generateKey(gateway);
      await nats?.down();
      for (let at = 0; at < 10; at++) assert.equal(await call(key), 200);
      await sleep(1000);
      await nats?.restart();
      await spendRows(gateway, key, 10);
      assert.equal(await call(key), 200);
      await spendRows(gateway, key, 11);
    });

    test("PostgreSQL frozen: known keys answer, an unknown key is a 503, and all is well again afterwards", async () => {
      const key = await generateKey(gateway);
      const unused = await generateKey(gateway);
      assert.equal(await call(key), 200);
      await postgres?.pause();
      try {
        assert.equal(await call(key), 200);
        assert.equal(await call(unused), 503);
        const ready = await gateway.request("/health/readiness");
        assert.equal(ready.status, 200);
        assert.match(await ready.text(), /"db":"unavailable"/);
      } finally {
        await postgres?.resume();
      }
      for (let tries = 0; tries < 50 && (await call(unused)) !== 200; tries++) await sleep(200);
      assert.equal(await call(unused), 200);
      await spendRows(gateway, key, 2);
    });

    test("kill -9 of the router in mid-stream: the stream ends with an error, the row says interrupted", async () => {
      const key = await generateKey(gateway, { max_budget: 1 });
      const body = { model: "mock/long", stream: true, mock: { tokens: 1000, chunk_interval_ms: 20 }, ...hello };
      const response = await gateway.request("/v1/chat/completions", { key, body });
      const text = response.text().catch((error: Error) => error.message);
      await sleep(300);
      process.kill(gateway.servicePid("router"), "SIGKILL");
      assert.doesNotMatch(await text, /\[DONE\]/);
      const [row] = await spendRows(gateway, key, 1);
      assert.equal(row?.usage_status, "interrupted");
      for (let tries = 0; tries < 50 && (await call(key)) !== 200; tries++) await sleep(200);
      assert.equal(await call(key), 200);
    });
  });
}
