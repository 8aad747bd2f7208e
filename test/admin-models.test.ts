import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { type Gateway, startGateway } from "../services/mesh/gateway.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { completion, helloAnswer, jsonAnswer, providerError } from "./harness/provider-answers.ts";

const masterKey = "sk-master-of-the-tests";
const canary = "sk-canary-3f1b9c7d-wxyz";
const masked = "sk-c****wxyz";
const hi = [{ role: "user", content: "hi" }];

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly body: ReturnType<typeof JSON.parse>;
}

type Send = (method: string, path: string, body?: unknown, key?: string) => Promise<Answer>;

function sender(base: () => string): Send {
  return async (method, path, body, key = masterKey) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const response = await fetch(base() + path, init);
    const text = await response.text();
    return { status: response.status, text, body: JSON.parse(text) };
  };
}

describe("models over REST, one process", () => {
  let gateway: GatewayProcess;
  let upstream: FakeUpstream;
  let dataDir: string;
  let configFile: string;
  const answers: Answer[] = [];
  const send: Send = async (...request) => {
    const answer = await sender(() => gateway.url)(...request);
    answers.push(answer);
    return answer;
  };
  const writeConfig = (text: string) => writeFile(configFile, text);
  const config = (extra = "") => `
model_list:
  - model_name: file
    litellm_params: {model: openai/gpt-4o-mini, api_key: ${canary}, api_base: "${upstream.url}/v1"}
    model_info: {id: file-1, access_groups: [cheap]}
${extra}
general_settings: {store_model_in_db: true}
`;
  before(async () => {
    dataDir = await makeDataDir();
    configFile = join(await mkdtemp(join(tmpdir(), "sluice-config-")), "config.yaml");
    upstream = await startFakeUpstream(({ body }) => {
      if (body.includes('"bad"')) return jsonAnswer(providerError("openai", `wrong key ${canary}`, "auth"), 401);
      return helloAnswer("openai", body.includes('"stream":true'));
    });
    await writeConfig(config());
    const env = { CONFIG_FILE_PATH: configFile, SLUICE_LOG: "debug" };
    gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
  });
  after(async () => {
    await gateway?.stop();
    await upstream?.close();
    await removeDataDir(dataDir);
    await rm(join(configFile, ".."), { recursive: true, force: true });
  });

  const params = () => ({ model: "openai/gpt-4o", api_key: canary, api_base: `${upstream.url}/v1` });
  const chat = async (model: string, key?: string) =>
    (await send("POST", "/v1/chat/completions", { model, messages: hi }, key)).status;

  test("a model is added, answers, is shown, changed and deleted", async () => {
    const made = await send("POST", "/model/new", {
      model_name: "db",
      litellm_params: { ...params(), rpm: 60, use_in_pass_through: false, max_retries: null },
      model_info: { id: "db-1", base_model: null, tier: "free" },
    });
    assert.equal(made.status, 200, made.text);
    const { created_at, updated_at, ...row } = made.body;
    assert.ok(Date.parse(created_at) > 0 && created_at === updated_at);
    assert.deepEqual(row, {
      model_id: "db-1",
      model_name: "db",
      litellm_params: { model: "openai/gpt-4o", rpm: 60, api_base: `${upstream.url}/v1`, api_key: masked },
      model_info: { id: "db-1", db_model: true, team_id: null, tier: "free" },
      blocked: false,
      created_by: row.created_by,
      updated_by: row.created_by,
      version: 1,
    });
    assert.equal(await chat("db"), 200);
    assert.equal(upstream.requests.at(-1)?.headers.authorization, `Bearer ${canary}`);
    for (const path of ["/model/info", "/v1/model/info"]) {
      const { body } = await send("GET", path);
      assert.deepEqual(
        body.data.map((each: { model_name: string }) => each.model_name),
        ["file", "db"],
      );
      assert.deepEqual(Object.keys(body.data[0]).sort(), ["litellm_params", "model_info", "model_name"]);
      assert.deepEqual([body.data[0].model_info.id, body.data[0].model_info.db_model], ["file-1", false]);
    }
    const one = await send("GET", "/model/info?litellm_model_id=db-1");
    assert.deepEqual(one.body.data.length, 1);
    assert.equal((await send("GET", "/model/info?litellm_model_id=none")).status, 400);
    const page = await send("GET", "/v2/model/info?search=D&size=1&page=1&sortBy=model_name&sortOrder=asc");
    const { data, ...rest } = page.body;
    assert.deepEqual([data[0].model_name, rest], ["db", { total_count: 1, current_page: 1, total_pages: 1, size: 1 }]);
    const group = await send("GET", "/model_group/info?model_group=db");
    assert.deepEqual(
      [group.body.data[0].providers, group.body.data[0].rpm, group.body.data[0].mode, group.body.data[0].tpm],
      [["openai"], 60, "chat", null],
    );
    const updated = await send("POST", "/model/update", { model_info: { id: "db-1" }, litellm_params: { rpm: 90 } });
    assert.deepEqual([updated.status, updated.body.litellm_params.rpm, updated.body.version], [200, 90, 2]);
    const patched = await send("PATCH", "/model/db-1/update", { litellm_params: { rpm: null }, model_name: "renamed" });
    assert.deepEqual(
      [patched.status, patched.body.litellm_params.rpm, patched.body.model_name],
      [200, undefined, "renamed"],
    );
    assert.deepEqual([await chat("db"), await chat("renamed")], [404, 200]);
    assert.equal((await send("PATCH", "/model/db-1/update", { version: 1 })).status, 409);
    assert.equal((await send("POST", "/model/update", { model_info: { id: "file-1" } })).status, 400);
    const deleted = await send("POST", "/model/delete", { id: "db-1" });
    assert.deepEqual([deleted.status, deleted.body], [200, { message: "Model: db-1 deleted successfully" }]);
    assert.equal((await send("POST", "/model/delete", { id: "db-1" })).status, 404);
    assert.equal(await chat("renamed"), 404);
  });

  test("what is wrong is a 400 that names it", async () => {
    const cases: [path: string, body: object, param: string][] = [
      ["/model/new", { litellm_params: { model: "openai/x" } }, "model_name"],
      ["/model/new", { model_name: "x", litellm_params: "openai/x" }, "litellm_params"],
      ["/model/new", { model_name: "x", litellm_params: {} }, "litellm_params.model"],
      [
        "/model/new",
        { model_name: "x", litellm_params: { model: "openai/x", max_budget: 1 } },
        "litellm_params.max_budget",
      ],
      ["/model/new", { model_name: 5, litellm_params: { model: "openai/x" } }, "model_name"],
      ["/model/new", { model_name: "x", litellm_params: { model: "openai/x", a: "\u0000" } }, "litellm_params"],
      ["/model/update", { litellm_params: {} }, "model_info.id"],
      ["/credentials", { credential_name: "", credential_values: { api_key: "k" } }, "credential_name"],
    ];
    for (const [path, body, param] of cases) {
      const answer = await send("POST", path, body);
      assert.deepEqual([answer.status, answer.body.error?.param], [400, param], `${param}: ${answer.text}`);
    }
  });

  test("credentials, named by a model", async () => {
    const made = await send("POST", "/credentials", {
      credential_name: "my/openai",
      credential_values: { api_key: canary, api_base: `${upstream.url}/v1` },
      credential_info: { custom_llm_provider: "openai" },
    });
    assert.deepEqual([made.status, made.body], [200, { success: true, message: "Credential created successfully" }]);
    const litellm_params = { model: "openai/gpt-4o", litellm_credential_name: "my/openai" };
    await send("POST", "/model/new", { model_name: "named", litellm_params, model_info: { id: "named-1" } });
    assert.equal(await chat("named"), 200);
    assert.equal(upstream.requests.at(-1)?.headers.authorization, `Bearer ${canary}`);
    const list = await send("GET", "/credentials");
    assert.equal(list.body.success, true);
    assert.deepEqual(list.body.credentials[0].credential_values, { api_key: masked, api_base: `${upstream.url}/v1` });
    const byName = await send("GET", "/credentials/by_name/my%2Fopenai");
    assert.deepEqual(
      [byName.body.credential_name, byName.body.credential_info],
      ["my/openai", { custom_llm_provider: "openai" }],
    );
    const byModel = await send("GET", "/credentials/by_model/file-1");
    assert.deepEqual(byModel.body.credential_values, { api_key: masked, api_base: `${upstream.url}/v1` });
    const changed = {
      credential_name: "my/openai",
      credential_info: {},
      credential_values: { api_key: "sk-another-key-0123456789" },
    };
    assert.equal((await send("PATCH", "/credentials/my%2Fopenai", changed)).status, 200);
    assert.equal(await chat("named"), 200);
    assert.equal(upstream.requests.at(-1)?.headers.authorization, "Bearer sk-another-key-0123456789");
    assert.equal((await send("DELETE", "/credentials/my%2Fopenai")).body.success, true);
    assert.equal((await send("GET", "/credentials/by_name/my%2Fopenai")).status, 404);
    await send("POST", "/model/delete", { id: "named-1" });
  });

  test("a key sees and uses what its list allows, groups of models included", async () => {
    const add = (model_name: string) =>
      send("POST", "/model/new", { model_name, litellm_params: params(), model_info: { id: model_name } });
    await Promise.all([add("one"), add("two")]);
    const group = await send("POST", "/access_group/new", { access_group: "prod", model_names: ["one"] });
    assert.deepEqual(group.body, { access_group: "prod", model_names: ["one"], model_ids: null, models_updated: 1 });
    const { key } = (await send("POST", "/key/generate", { models: ["prod", "cheap"] })).body;
    assert.deepEqual([await chat("one", key), await chat("file", key), await chat("two", key)], [200, 200, 401]);
    const ids = async (query: string) =>
      (await send("GET", `/v1/models${query}`, undefined, key)).body.data.map(({ id }: { id: string }) => id).join();
    assert.equal(await ids(""), "file,one");
    assert.equal(await ids("?include_model_access_groups=true"), "cheap,file,one,prod");
    assert.equal(await ids("?only_model_access_groups=true"), "cheap,prod");
    assert.equal((await send("GET", "/v1/models?team_id=other", undefined, key)).status, 403);
    assert.equal(await ids("?scope=expand"), "file,one");
    for (const query of ["scope=all", "healthy_only=true", "fallback_type=x", "return_wildcard_routes=perhaps"]) {
      assert.equal((await send("GET", `/v1/models?${query}`)).status, 400, query);
    }
    const described = await send("GET", "/v1/models?include_metadata=true");
    assert.deepEqual(described.body.data[0].metadata, { fallbacks: [] });
    const visible = await send("GET", "/model/info", undefined, key);
    assert.deepEqual(
      visible.body.data.map((each: { model_name: string }) => each.model_name),
      ["file", "one"],
    );
    const spoofed = await send("GET", "/model/info?caller_models=x", undefined, key);
    assert.deepEqual(spoofed.body, visible.body);
    for (const [method, path] of [
      ["POST", "/model/new"],
      ["GET", "/credentials"],
      ["GET", "/health"],
      ["POST", "/config/reload"],
    ] as const) {
      assert.equal((await send(method, path, method === "POST" ? {} : undefined, key)).status, 403, path);
    }
    const info = await send("GET", "/access_group/prod/info");
    assert.deepEqual(info.body, { access_group: "prod", model_names: ["one"], deployment_count: 1 });
    const put = await send("PUT", "/access_group/prod/update", { model_names: ["two"] });
    assert.deepEqual([put.status, put.body.models_updated], [200, 1]);
    assert.deepEqual([await chat("one", key), await chat("two", key)], [401, 200]);
    const groups = (await send("GET", "/access_group/list")).body.access_groups;
    assert.deepEqual(
      groups.map((each: { access_group: string }) => each.access_group),
      ["cheap", "prod"],
    );
    assert.equal((await send("DELETE", "/access_group/prod/delete")).body.models_updated, 1);
    assert.equal((await send("GET", "/access_group/prod/info")).status, 404);
  });

  test("health asks the providers", async () => {
    const bad = { ...params(), model: "openai/bad" };
    await send("POST", "/model/new", { model_name: "bad", litellm_params: bad, model_info: { id: "bad" } });
    const { body } = await send("GET", "/health?model=bad");
    assert.deepEqual([body.healthy_count, body.unhealthy_count, body.healthy_endpoints], [0, 1, []]);
    assert.equal(body.unhealthy_endpoints[0].model, "openai/bad");
    assert.match(body.unhealthy_endpoints[0].error, /wrong key/);
    const file = await send("GET", "/health?model_id=file-1");
    assert.deepEqual([file.body.healthy_count, file.body.healthy_endpoints[0].model], [1, "openai/gpt-4o-mini"]);
    assert.equal((await send("GET", "/health?model_id=none")).status, 404);
    const latest = await send("GET", "/health/latest");
    assert.deepEqual([latest.body.latest_health_checks.bad.status, latest.body.total_models], ["unhealthy", 2]);
    const history = await send("GET", "/health/history?status_filter=healthy&limit=5");
    assert.deepEqual([history.body.total_records, history.body.limit, history.body.offset], [1, 5, 0]);
    assert.equal(history.body.health_checks[0].model_id, "file-1");
    const good = await send("POST", "/health/test_connection", { litellm_params: params(), mode: "chat" });
    assert.equal(good.body.status, "success");
    const wrong = await send("POST", "/health/test_connection", { litellm_params: bad });
    assert.deepEqual([wrong.status, wrong.body.status], [200, "error"]);
    await send("POST", "/model/delete", { id: "bad" });
  });

  test("the file is read again by a call and by SIGHUP; a bad one changes nothing", async () => {
    const more = `  - {model_name: more, litellm_params: {model: openai/m, api_key: k, api_base: "${upstream.url}/v1"}}`;
    await writeConfig(config(more));
    const reloaded = await send("POST", "/config/reload", {});
    assert.deepEqual([reloaded.status, reloaded.body.models], [200, 2]);
    assert.equal(await chat("more"), 200);
    await writeConfig("model_list: [{model_name: none, litellm_params: {rpm: x}}]");
    const refused = await send("POST", "/config/reload", {});
    assert.equal(refused.status, 400);
    assert.match(refused.body.error.message, /config\.yaml:1.*expected/s);
    gateway.kill("SIGHUP");
    await until(10_000, async () => gateway.output().split("the configuration file is no good").length >= 3);
    assert.deepEqual([await chat("more"), await chat("file"), await chat("one")], [200, 200, 200]);
    await writeConfig(config());
    gateway.kill("SIGHUP");
    await until(10_000, async () => (await chat("more")) === 404);
    assert.deepEqual([await chat("file"), await chat("one")], [200, 200]);
  });

  test("no answer and no line of the log holds a credential", () => {
    for (const { text } of answers) assert.doesNotMatch(text, /canary/);
    assert.doesNotMatch(gateway.output(), /canary/);
  });
});

if (meshAvailable()) {
  describe("models over REST, two data planes", () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let upstream: FakeUpstream;
    let control: Gateway;
    let planes: Gateway[];
    let env: Record<string, string | undefined>;
    const dirs: string[] = [];
    const startPlane = async () => {
      const dataDir = await makeDataDir();
      dirs.push(dataDir);
      const url = `http://127.0.0.1:${control.rpcPort}`;
      return startGateway({
        ...env,
        SLUICE_SERVICES: "edge,router,provider-adapter",
        SLUICE_AUTH_URL: url,
        SLUICE_ACCOUNTING_URL: url,
        SLUICE_DATA_DIR: dataDir,
      });
    };
    before(async () => {
      [nats, postgres] = await Promise.all([startTestNats(), startTestPostgres()]);
      upstream = await startFakeUpstream(jsonAnswer(completion()));
      env = {
        NATS_URL: nats?.url,
        DATABASE_URL: postgres?.url.reveal(),
        SLUICE_MESH_TOKEN: "mesh-token",
        SLUICE_MASTER_KEY: masterKey,
        SLUICE_LOG: "error",
        HOST: "127.0.0.1",
        PORT: "0",
      };
      control = await startGateway({
        ...env,
        SLUICE_SERVICES: "auth,accounting",
        SLUICE_RPC_HOST: "127.0.0.1",
        SLUICE_RPC_PORT: "0",
      });
      planes = [await startPlane(), await startPlane()];
    });
    after(async () => {
      for (const plane of planes ?? []) await plane.close();
      await control?.close();
      await Promise.all([nats?.stop(), postgres?.stop(), upstream?.close(), ...dirs.map(removeDataDir)]);
    });

    const at = (index: number) => sender(() => `http://127.0.0.1:${planes[index]?.port}`);
    const chat = async (index: number, model: string) =>
      (await at(index)("POST", "/v1/chat/completions", { model, messages: hi })).status;
    const add = (index: number, model_name: string) =>
      at(index)("POST", "/model/new", {
        model_name,
        litellm_params: { model: "openai/x", api_key: canary, api_base: `${upstream.url}/v1` },
        model_info: { id: model_name },
      });

    test("a model that is added at one answers at both as soon as they are told", async () => {
      assert.equal((await add(0, "new")).status, 200);
      assert.equal(await chat(0, "new"), 200);
      await until(toldMs, async () => (await chat(1, "new")) === 200);
      assert.equal((await at(1)("POST", "/model/delete", { id: "new" })).status, 200);
      await until(toldMs, async () => (await chat(0, "new")) === 404);
    });

    test("while the database is away what is known is served and changes are 503; afterwards all is well", async () => {
      assert.equal((await add(0, "kept")).status, 200);
      await until(toldMs, async () => (await chat(1, "kept")) === 200);
      await postgres?.down();
      assert.deepEqual([await chat(0, "kept"), await chat(1, "kept")], [200, 200]);
      assert.equal((await at(0)("GET", "/model/info")).body.data.length, 1);
      assert.equal((await add(0, "refused")).status, 503);
      planes.push(await startPlane());
      assert.equal(await chat(2, "mock/echo"), 200);
      await postgres?.restart();
      await until(20_000, async () => (await chat(2, "kept")) === 200);
      await until(20_000, async () => (await add(0, "later")).status === 200);
      await until(10_000, async () => (await chat(1, "later")) === 200 && (await chat(2, "later")) === 200);
    });
  });
}

/** A second where nothing stalls, and two for a machine that does; by themselves they ask every five. */
const toldMs = 3_000;

async function until(ms: number, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms`);
    await sleep(20);
  }
}
