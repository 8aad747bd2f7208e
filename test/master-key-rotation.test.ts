import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readTestEnv } from "#chassis/testing/config.ts";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { withStoredData } from "../services/mesh/commands/command.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { keepCalling } from "./harness/keep-calling.ts";
import { completion, jsonAnswer } from "./harness/provider-answers.ts";
import { generateKey } from "./harness/spend.ts";

/** The steps of replacing a master key, on one live process: rotate, set the new key, restart, call. */
const entry = "services/main.ts";
const timeout = 300_000;
const credential = "sk-canary-of-the-provider-1234";
const root = join(import.meta.dirname, "..");
let upstream: FakeUpstream;
before(async () => {
  upstream = await startFakeUpstream((request) =>
    request.headers.authorization === `Bearer ${credential}` ? jsonAnswer(completion()) : { status: 401, body: "{}" },
  );
});
after(() => upstream?.close());

for (const salt of [undefined, "salt-of-the-tests"]) {
  describe(`one process, ${salt === undefined ? "no salt key" : "a salt key"}`, () => {
    const saltEnv: Record<string, string> = salt === undefined ? {} : { LITELLM_SALT_KEY: salt };
    const common = { entry, env: saltEnv } as const;
    let dataDir: string;
    let gateway: GatewayProcess | undefined;
    before(async () => {
      dataDir = await makeDataDir();
    });
    after(async () => {
      await gateway?.stop();
      await removeDataDir(dataDir);
    });
    const start = async (masterKey: string, env: Record<string, string> = {}) => {
      gateway = await startGatewayProcess({ ...common, env: { ...saltEnv, ...env }, dataDir, masterKey });
      return gateway;
    };

    test("no call fails at any of the steps, and nothing has to be sealed anew", { timeout }, async () => {
      let current = await start("sk-old-master");
      await addModels(current);
      const virtual = await generateKey(current);
      const urls = () => [current.url];
      const load = [keepCalling(urls, virtual, "stored"), keepCalling(urls, virtual, "named")];
      const old = keepCalling(urls, "sk-old-master", "stored");
      await sleep(1000);
      const answer = await rotate(current, "sk-old-master", "sk-new-master");
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.body.key, "sk-new-master");
      assert.ok(Date.parse(answer.body.old_key_expires) > Date.now() + 23 * 3_600_000);
      load.push(keepCalling(urls, "sk-new-master", "stored"));
      await sleep(1000);
      assert.equal((await rotate(current, "sk-old-master", "sk-another", "sk-new-master")).status, 409);
      const running = await verifySecrets({
        ...saltEnv,
        SLUICE_DATA_DIR: dataDir,
        LITELLM_MASTER_KEY: "sk-new-master",
      });
      assert.match(running.stdout, /deployment: 1\ncredential: 1\n.*\n?3 of 3 sealed values open/s, running.stderr);
      assert.equal(running.code, 0);
      assertNoFailure(await old.stop());
      await current.stop();
      current = await start("sk-new-master");
      await sleep(1000);
      for (const each of load) assertNoFailure(await each.stop());
      assert.equal((await chat(current, "sk-new-master")).status, 200);
      assert.equal((await chat(current, "sk-old-master")).status, 401);
      assert.ok(!current.output().includes("sk-new-master"));
    });

    test("a process that comes up with the old key serves until the grace ends, and not after it", {
      timeout,
    }, async () => {
      await gateway?.stop();
      const old = await start("sk-new-master");
      const rotated = await rotate(old, "sk-new-master", "sk-newer-master", "sk-new-master", "30s");
      assert.equal(rotated.status, 200, rotated.text);
      await old.stop();
      const again = await start("sk-new-master");
      assert.match(again.output(), /the master key was replaced; set the new one/);
      for (const key of ["sk-new-master", "sk-newer-master"]) assert.equal((await chat(again, key)).status, 200, key);
      await sleep(Date.parse(rotated.body.old_key_expires) - Date.now() + 100);
      assert.equal((await chat(again, "sk-new-master")).status, 401);
      assert.equal((await chat(again, "sk-newer-master")).status, 200);
      await again.stop();
      await assert.rejects(start("sk-new-master"), ({ message }: Error) => {
        assert.match(
          message,
          /LITELLM_MASTER_KEY was replaced.*grace period ended.*Set LITELLM_MASTER_KEY to the new/s,
        );
        return !/\.ts:\d+/.test(message);
      });
      await (await start("sk-newer-master")).stop();
    });

    test("a wrong key stops the start and says so, and the right one finds all as it was", { timeout }, async () => {
      const wrong = (): [string, Record<string, string>, RegExp][] =>
        salt === undefined
          ? [["sk-wrong", {}, /master key in LITELLM_MASTER_KEY is not the master key that stored secrets are sealed/]]
          : [
              ["sk-newer-master", { LITELLM_SALT_KEY: "wrong" }, /salt key in LITELLM_SALT_KEY is not the one/],
              ["sk-newer-master", { LITELLM_SALT_KEY: "" }, /sealed under a salt key since .*, and none is set/],
            ];
      for (const [key, env, says] of wrong()) {
        await assert.rejects(
          start(key, env),
          ({ message }: Error) => says.test(message) && /Nothing was/.test(message),
        );
        const own = { ...saltEnv, ...env, SLUICE_DATA_DIR: dataDir, LITELLM_MASTER_KEY: key };
        const { code, stderr } = await verifySecrets(own);
        assert.equal(code, 1);
        assert.match(stderr, says);
      }
      const right = await start("sk-newer-master");
      assert.equal((await chat(right, "sk-newer-master")).status, 200);
    });
  });
}

describe("one process that keeps its master key in a file", () => {
  test("writes the new one there, a salt key is taken later, and a broken value is found", { timeout }, async (t) => {
    const dataDir = await makeDataDir();
    let gateway = await startGatewayProcess({ entry, dataDir });
    t.after(async () => {
      await gateway.stop();
      await removeDataDir(dataDir);
    });
    await addModels(gateway);
    const file = join(dataDir, "master.key");
    const old = gateway.masterKey;
    assert.equal((await rotate(gateway, old, "sk-new-master")).status, 200);
    assert.equal(await readFile(file, "utf8"), "sk-new-master\n");
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await gateway.stop();
    // As after a crash between the commit and the file.
    await writeFile(file, `${old}\n`);
    gateway = await startGatewayProcess({ entry, dataDir });
    assert.match(gateway.output(), /the master key was replaced; set the new one/);
    assert.ok(gateway.output().includes(file));
    assert.equal((await chat(gateway, "sk-new-master")).status, 200);
    await gateway.stop();
    await writeFile(file, "sk-new-master\n");
    gateway = await startGatewayProcess({ entry, dataDir, env: { SLUICE_SALT_KEY: "new-salt" } });
    assert.match(gateway.output(), /sealed under the salt key now/);
    assert.equal((await chat(gateway, "sk-new-master")).status, 200);
    const env = { SLUICE_DATA_DIR: dataDir, SLUICE_SALT_KEY: "new-salt" };
    assert.equal((await verifySecrets(env)).code, 0);
    await gateway.stop();
    await withStoredData(env, async ({ state }) => {
      const database = await state.database({ schema: "router", entities: [], migrations: [] });
      await database
        .em()
        .execute(
          "update router.credential set sealed_values = set_byte(sealed_values, 40, get_byte(sealed_values, 40) # 1)",
        );
    });
    const found = await verifySecrets(env);
    assert.deepEqual([found.code, /does not open: credential c: /.test(found.stdout)], [1, true], found.stdout);
  });
});

describe("a master key that is set where one was generated", () => {
  test("takes its place, opens what is stored, and gives the place back", { timeout }, async (t) => {
    const dataDir = await makeDataDir();
    let gateway = await startGatewayProcess({ entry, dataDir });
    t.after(async () => {
      await gateway.stop();
      await removeDataDir(dataDir);
    });
    const generated = gateway.masterKey;
    await addModels(gateway);
    for (const [set, accepted, refused] of [
      ["sk-set", "sk-set", generated],
      ["sk-set-later", "sk-set-later", "sk-set"],
      [undefined, generated, "sk-set-later"],
    ] as const) {
      await gateway.stop();
      gateway = await startGatewayProcess({ entry, dataDir, ...(set && { masterKey: set }) });
      const answers = [await chat(gateway, accepted), await chat(gateway, refused)];
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 401],
      );
    }
    const env = { SLUICE_DATA_DIR: dataDir, LITELLM_MASTER_KEY: "sk-set" };
    assert.equal((await verifySecrets(env)).code, 0);
  });
});

async function addModels(gateway: GatewayProcess): Promise<void> {
  const api_base = `${upstream.url}/v1`;
  const asked: [string, object][] = [
    ["/model/new", { model_name: "stored", litellm_params: { model: "openai/x", api_key: credential, api_base } }],
    [
      "/credentials",
      { credential_name: "c", credential_values: { api_key: credential, api_base }, credential_info: {} },
    ],
    ["/model/new", { model_name: "named", litellm_params: { model: "openai/x", litellm_credential_name: "c" } }],
  ];
  for (const [path, body] of asked) {
    const response = await gateway.request(path, { body });
    assert.equal(response.status, 200, await response.text());
  }
}

async function rotate(gateway: GatewayProcess, key: string, next: string, by = key, grace?: string) {
  const body = { key, new_master_key: next, ...(grace === undefined ? {} : { grace_period: grace }) };
  const response = await gateway.request("/key/regenerate", { key: by, body });
  const text = await response.text();
  return { status: response.status, text, body: JSON.parse(text) };
}

async function chat(gateway: GatewayProcess, key: string): Promise<Response> {
  const body = { model: "stored", messages: [{ role: "user", content: "hi" }] };
  const response = await gateway.request("/v1/chat/completions", { key, body });
  await response.text();
  return response;
}

function assertNoFailure({ calls, failures }: { calls: number; failures: readonly string[] }): void {
  assert.deepEqual(failures, []);
  assert.ok(calls > 3, `${calls} calls`);
}

function verifySecrets(env: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = join(root, "services/mesh/commands/verify-secrets.ts");
  const all = { PATH: readTestEnv().path, HOME: tmpdir(), ...env };
  return new Promise((resolve) => {
    execFile(process.execPath, [command], { env: all }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, stdout, stderr });
    });
  });
}
