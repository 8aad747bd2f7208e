import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConfigurationError } from "#chassis/environment.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { readMeshConfig } from "../services/mesh/config.ts";
import { type Gateway, startGateway } from "../services/mesh/gateway.ts";
import { eventually, toldMs } from "./harness/eventually.ts";
import { makeDataDir, meshAvailable, removeDataDir } from "./harness/gateway-process.ts";

const masterKey = "sk-test-master";

/** Two replicas of a data plane before one control plane: services share processes as the environment says. */
if (meshAvailable()) {
  describe("two data planes and a control plane", () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    const dirs: string[] = [];
    let control: Gateway;
    let planes: Gateway[];
    before(async () => {
      [nats, postgres] = await Promise.all([startTestNats(), startTestPostgres()]);
      const shared = {
        NATS_URL: nats?.url,
        DATABASE_URL: postgres?.url.reveal(),
        SLUICE_MESH_TOKEN: "mesh-token",
        SLUICE_MASTER_KEY: masterKey,
        SLUICE_LOG: "error",
        HOST: "127.0.0.1",
        PORT: "0",
      };
      control = await startGateway({
        ...shared,
        SLUICE_SERVICES: "auth,accounting",
        SLUICE_RPC_HOST: "127.0.0.1",
        SLUICE_RPC_PORT: "0",
      });
      const url = `http://127.0.0.1:${control.rpcPort}`;
      const startPlane = async () => {
        const dataDir = await makeDataDir();
        dirs.push(dataDir);
        return startGateway({
          ...shared,
          SLUICE_SERVICES: "edge,router,provider-adapter",
          SLUICE_AUTH_URL: url,
          SLUICE_ACCOUNTING_URL: url,
          SLUICE_DATA_DIR: dataDir,
        });
      };
      planes = [await startPlane(), await startPlane()];
    });
    after(async () => {
      for (const plane of planes ?? []) await plane.close();
      await control?.close();
      await Promise.all([nats?.stop(), postgres?.stop(), ...dirs.map(removeDataDir)]);
    });

    const post = (plane: Gateway | undefined, path: string, key: string, body: unknown) =>
      fetch(`http://127.0.0.1:${plane?.port}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    const chat = async (plane: Gateway | undefined, key: string) => {
      const messages = [{ role: "user", content: "Hello!" }];
      const response = await post(plane, "/v1/chat/completions", key, { model: "mock/echo", messages });
      await response.text();
      return response.status;
    };
    const newKey = async (fields: Record<string, unknown>) => {
      const response = await post(planes[0], "/key/generate", masterKey, fields);
      const answer: unknown = await response.json();
      assert.ok(typeof answer === "object" && answer !== null && "key" in answer && typeof answer.key === "string");
      return answer.key;
    };

    test("a limit holds over both replicas together", async () => {
      const key = await newKey({ rpm_limit: 10 });
      const statuses = await Promise.all(Array.from({ length: 60 }, (_, at) => chat(planes[at % 2], key)));
      const answered = statuses.filter((status) => status === 200).length;
      assert.ok(answered <= 10, `${answered} calls were answered`);
      assert.ok(answered >= 5, `${answered} calls were answered`);
      assert.ok(
        statuses.every((status) => status === 200 || status === 429),
        `${new Set(statuses)}`,
      );
    });

    test("a key that one replica deletes is refused by the other as soon as it is told", async () => {
      const key = await newKey({});
      assert.deepEqual([await chat(planes[0], key), await chat(planes[1], key)], [200, 200]);
      await post(planes[0], "/key/delete", masterKey, { keys: [key] });
      for (const plane of planes) assert.equal(await eventually(401, toldMs, () => chat(plane, key)), 401);
    });
  });
}

test("of several mesh tokens the first is sent and all are accepted", () => {
  const read = (tokens: string) => readMeshConfig({ SLUICE_MESH_TOKEN: tokens });
  const several = read("next, last");
  assert.equal(several.meshToken?.reveal(), "next");
  assert.deepEqual(
    several.otherMeshTokens.map((token) => token.reveal()),
    ["last"],
  );
  assert.deepEqual(read("one").otherMeshTokens, []);
  assert.equal(read(" , ").meshToken, undefined);
});

test("a part of the mesh that is not told where the rest is does not start", async () => {
  const auth = "http://127.0.0.1:1";
  const cases: [Record<string, string>, RegExp][] = [
    [{ SLUICE_SERVICES: "edge" }, /SLUICE_AUTH_URL must name the auth/],
    [{ SLUICE_SERVICES: "nonsense" }, /unknown service "nonsense"/],
    [{ SLUICE_SERVICES: "provider-adapter" }, /SLUICE_AUTH_URL must name the auth/],
    [
      { SLUICE_SERVICES: "provider-adapter", SLUICE_AUTH_URL: auth },
      /SLUICE_MESH_TOKEN, or SLUICE_TLS_CERT, .* must be set/,
    ],
    [{ SLUICE_TLS_CERT: "tls.crt", SLUICE_TLS_CA: "ca.crt" }, /SLUICE_TLS_KEY and SLUICE_TLS_CA must be set together/],
    [{ SLUICE_TLS_CERT: "no.crt", SLUICE_TLS_KEY: "no.key", SLUICE_TLS_CA: "no.crt" }, /SLUICE_TLS_CA: ENOENT/],
    [
      {
        SLUICE_SERVICES: "auth",
        SLUICE_ACCOUNTING_URL: "http://a:1",
        SLUICE_TLS_CERT: "tls.crt",
        SLUICE_TLS_KEY: "tls.key",
        SLUICE_TLS_CA: "ca.crt",
      },
      /SLUICE_ACCOUNTING_URL must hold https:\/\/ addresses where SLUICE_TLS_CERT is set/,
    ],
    [{ SLUICE_SERVICES: "accounting", SLUICE_MESH_TOKEN: "t" }, /NATS_URL must be set/],
    [{ SLUICE_SERVICES: "accounting", SLUICE_MESH_TOKEN: "t", NATS_URL: "nats://x" }, /DATABASE_URL must be set/],
    [{ PORT: "many" }, /PORT must be a whole number/],
  ];
  for (const [env, expected] of cases) {
    await assert.rejects(
      startGateway(env),
      (error) => error instanceof ConfigurationError && expected.test(error.message),
    );
  }
});
