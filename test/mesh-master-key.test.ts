import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceName } from "#chassis/service.ts";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { withStoredData } from "../services/mesh/commands/command.ts";
import { verifySecrets } from "../services/mesh/commands/verify-secrets.ts";
import type { CallLoad } from "./harness/call-load.ts";
import { makeDataDir, meshAvailable, removeDataDir } from "./harness/gateway-process.ts";
import { keepCalling } from "./harness/keep-calling.ts";
import { type MeshReplicas, meshOfReplicas } from "./harness/mesh-replicas.ts";
import { completion, jsonAnswer } from "./harness/provider-answers.ts";

/** The master key of a mesh of which everything runs twice, replaced under load, process after process. */
const timeout = 400_000;
const credential = "sk-canary-of-the-provider-1234";

for (const salt of meshAvailable() ? ["", "salt-of-the-tests"] : []) {
  describe(`two replicas of everything, ${salt === "" ? "no salt key" : "a salt key"}`, () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let upstream: FakeUpstream;
    let dataDir: string;
    let mesh: MeshReplicas;
    let common: Record<string, string>;
    before(async () => {
      [nats, postgres, dataDir] = await Promise.all([startTestNats(), startTestPostgres(), makeDataDir()]);
      upstream = await startFakeUpstream(({ headers }) =>
        headers.authorization === `Bearer ${credential}` ? jsonAnswer(completion()) : { status: 401, body: "{}" },
      );
      common = {
        NATS_URL: nats?.url ?? "",
        DATABASE_URL: postgres?.url.reveal() ?? "",
        SLUICE_MESH_TOKEN: "mesh-token",
        SLUICE_MASTER_KEY: "sk-key-0",
        SLUICE_DRAIN_MS: "20000",
        ...(salt === "" ? {} : { SLUICE_SALT_KEY: salt }),
      };
      mesh = await meshOfReplicas(common, dataDir);
      // The database is made by one of each, while the others wait.
      for (const service of ["accounting", "auth", "provider-adapter", "router", "edge"] as const) {
        await Promise.all([mesh.start(service, 0), mesh.start(service, 1)]);
      }
    });
    after(async () => {
      await mesh?.stopAll();
      await Promise.all([nats?.stop(), postgres?.stop(), upstream?.close()]);
      await removeDataDir(dataDir);
    });

    async function send(key: string, path: string, body: object, edge = 0) {
      const response = await fetch(`${mesh.edges[edge]}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, text, body: JSON.parse(text) };
    }

    const hi = { model: "stored", messages: [{ role: "user", content: "hi" }] };
    const chat = async (key: string, edge = 0) => (await send(key, "/v1/chat/completions", hi, edge)).status;
    /** A virtual key that both edges know. */
    const makeKey = async (masterKey: string): Promise<string> => {
      const { key } = (await send(masterKey, "/key/generate", {})).body;
      for (const edge of [0, 1]) await until(async () => (await chat(key, edge)) === 200);
      return key;
    };
    const rotate = (from: string, to: string, by = from) =>
      send(by, "/key/regenerate", { key: from, new_master_key: to, grace_period: "1h" });
    const restart = async (service: ServiceName, replica: number, masterKey: string) => {
      await mesh.stop(service, replica);
      await mesh.start(service, replica, { SLUICE_MASTER_KEY: masterKey });
    };
    const load = (key: string) => keepCalling(() => mesh.edges, key, "stored");

    async function assertAllOpens(masterKey: string): Promise<void> {
      const env = { ...common, SLUICE_MASTER_KEY: masterKey, SLUICE_DATA_DIR: dataDir };
      const { counts, failures } = await withStoredData(env, verifySecrets);
      assert.deepEqual(failures, []);
      assert.equal(counts.get("deployment"), 1);
    }

    test("no call fails while the key is replaced and every process is, with either key", { timeout }, async () => {
      const litellm_params = { model: "openai/x", api_key: credential, api_base: `${upstream.url}/v1` };
      const added = await send("sk-key-0", "/model/new", { model_name: "stored", litellm_params });
      assert.equal(added.status, 200, added.text);
      const calling: CallLoad[] = [load(await makeKey("sk-key-0")), load("sk-key-0")];
      await sleep(500);
      const rotated = await rotate("sk-key-0", "sk-key-1");
      assert.equal(rotated.status, 200, rotated.text);
      calling.push(load("sk-key-1"));
      await restart("provider-adapter", 0, "sk-key-1");
      await restart("provider-adapter", 1, "sk-key-0");
      await restart("router", 0, "sk-key-0");
      await restart("router", 1, "sk-key-1");
      await restart("auth", 0, "sk-key-0");
      // From here on there are processes that were told that the old key is no longer one.
      assertNoFailure(await calling.splice(1, 1)[0]?.stop());
      await restart("auth", 1, "sk-key-1");
      await restart("auth", 0, "sk-key-1");
      await restart("provider-adapter", 1, "sk-key-1");
      await restart("router", 0, "sk-key-1");
      await restart("edge", 1, "sk-key-1");
      for (const each of calling) assertNoFailure(await each.stop());
      await assertAllOpens("sk-key-1");
      await until(async () => (await chat("sk-key-0")) === 401);
      await mesh.stop("provider-adapter", 0);
      const wrong: Record<string, string> =
        salt === "" ? { SLUICE_MASTER_KEY: "sk-wrong" } : { SLUICE_SALT_KEY: "wrong" };
      await assert.rejects(mesh.start("provider-adapter", 0, wrong), /key in SLUICE_(MASTER|SALT)_KEY is not the/);
      await mesh.start("provider-adapter", 0, { SLUICE_MASTER_KEY: "sk-key-1" });
      assert.ok(!mesh.output().includes("sk-key-1"), "no key is printed");
      assert.ok(!mesh.output().includes(credential), "no credential is printed");
    });

    test("auth killed in the middle of it, again and again: replaced as a whole or not at all", {
      timeout,
    }, async () => {
      const calling = load(await makeKey("sk-key-1"));
      let current = "sk-key-1";
      await mesh.stop("auth", 1);
      for (let round = 0; round < 4; round += 1) {
        const next = `sk-round-${round}`;
        const answer = rotate(current, next).then(
          ({ status }) => status,
          () => 0,
        );
        await sleep(round * 12);
        await mesh.stop("auth", 0, "SIGKILL");
        await mesh.start("auth", 0, { SLUICE_MASTER_KEY: "sk-key-1" });
        const status = await answer;
        await until(async () => [200, 401].includes(await chat(next)));
        const again = await until(async () => {
          const { status: second } = await rotate(current, next, "sk-key-1");
          return second === 200 || second === 409 ? second : undefined;
        });
        if (status === 200) assert.equal(again, 409, "what was answered holds");
        await until(async () => (await chat(next)) === 200);
        current = next;
        await assertAllOpens(current);
      }
      await mesh.start("auth", 1, { SLUICE_MASTER_KEY: current });
      assertNoFailure(await calling.stop());
      await restart("auth", 0, current);
      await until(async () => (await chat(current)) === 200);
    });
  });
}

function assertNoFailure(outcome: { readonly calls: number; readonly failures: readonly string[] } | undefined): void {
  assert.ok(outcome !== undefined);
  assert.deepEqual(outcome.failures, []);
  assert.ok(outcome.calls > 10, `${outcome.calls} calls`);
}

async function until<T>(check: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    assert.ok(Date.now() < deadline, "it did not come about");
    await sleep(200);
  }
}
