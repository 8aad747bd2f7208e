import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { openDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { authSchema } from "../services/auth/db/schema.ts";
import { adminPaths } from "./harness/admin-fields.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { helloAnswer, jsonAnswer } from "./harness/provider-answers.ts";
import { type RawAnswer, sendRaw } from "./harness/raw-request.ts";
import { spendRows } from "./harness/spend.ts";

/** One secret of each kind, in forms that a pattern for keys knows and in forms that none does. */
const planted = {
  masterKey: "sk-canary-master-0a1b2c3d4e",
  saltKey: "canary.salt/0a1b2c3d4e",
  meshToken: "canary.mesh/0a1b2c3d4e",
  virtualKey: "sk-canary-virtual-0a1b2c3d4e",
  unknownKey: "sk-canary-unknown-0a1b2c3d4e",
  providerKeyOfEnvironment: "canary.provider/env+0a1b2c3d4e",
  providerKeyOfFile: "canary.provider/file+0a1b2c3d4e",
  extraHeader: "canary.extra/0a1b2c3d4e",
  cookie: "canary.cookie/0a1b2c3d4e",
  customHeader: "canary.custom/0a1b2c3d4e",
  queryKey: "sk-canary-query-0a1b2c3d4e",
  prompt: "canary prompt 0a1b2c3d4e",
} as const;

const masterKey = planted.masterKey;
const prompt = { messages: [{ role: "user", content: planted.prompt }] };

const configuration = (address: string) => `
model_list:
  - model_name: of-environment
    litellm_params: { model: openai/gpt-4o, api_base: ${address}/v1, api_key: os.environ/CANARY_KEY, extra_headers: { x-extra: "${planted.extraHeader}" } }
  - model_name: of-file
    litellm_params: { model: openai/gpt-4o, api_base: ${address}/v1, api_key: "${planted.providerKeyOfFile}" }
  - model_name: refused
    litellm_params: { model: openai/gpt-4o, api_base: ${address}/refused, api_key: "${planted.providerKeyOfFile}" }
  - model_name: nowhere
    litellm_params: { model: openai/gpt-4o, api_base: "http://127.0.0.1:1/v1", api_key: os.environ/CANARY_KEY }
router_settings: { num_retries: 0, disable_cooldowns: true }
`;

if (meshAvailable()) {
  let nats: TestNats | undefined;
  let postgres: TestPostgres | undefined;
  let upstream: FakeUpstream;
  let gateway: GatewayProcess;
  let dataDir: string;
  let listener: NatsConnection;
  const events: string[] = [];
  const answers: string[] = [];

  before(async () => {
    [nats, postgres, dataDir] = await Promise.all([startTestNats(), startTestPostgres(), makeDataDir()]);
    // A provider that repeats in its error what it was sent, as real ones do.
    upstream = await startFakeUpstream(({ url, headers, body }) =>
      url.startsWith("/refused")
        ? jsonAnswer({ error: { message: `Incorrect API key provided: ${headers.authorization}`, code: "x" } }, 401)
        : helloAnswer("openai", body.includes('"stream":true')),
    );
    listener = await connect({ servers: nats?.url });
    listener.subscribe(">", {
      callback: (_, message) => void events.push(Buffer.from(message.data).toString("latin1") + message.subject),
    });
    const config = join(dataDir, "config.yaml");
    await writeFile(config, configuration(upstream.url));
    const env = {
      NATS_URL: nats?.url ?? "",
      DATABASE_URL: postgres?.url.reveal() ?? "",
      SLUICE_MESH_TOKEN: planted.meshToken,
      SLUICE_SALT_KEY: planted.saltKey,
      CANARY_KEY: planted.providerKeyOfEnvironment,
      CONFIG_FILE_PATH: config,
      SLUICE_LOG: "debug",
    };
    gateway = await startGatewayProcess({ entry: "services/mesh/local-mesh.ts", env, dataDir, masterKey });
  });
  after(async () => {
    await listener?.close();
    await gateway?.stop();
    await Promise.all([upstream?.close(), nats?.stop(), postgres?.stop()]);
    await removeDataDir(dataDir);
  });

  const secretHeaders = { cookie: `session=${planted.cookie}`, "x-custom": planted.customHeader };

  async function send(verb: string, path: string, key: string, body?: object): Promise<RawAnswer> {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", ...secretHeaders };
    const text = body === undefined ? "" : JSON.stringify(body);
    const length = { "content-length": String(Buffer.byteLength(text)) };
    const pieces = text === "" ? [] : [text];
    const answer = await sendRaw(gateway.url + path, {
      method: verb,
      headers: { ...headers, ...length },
      body: pieces,
    });
    answers.push(`${verb} ${path.split("?")[0]} ${answer.status} ${JSON.stringify(answer.headers)} ${answer.text}`);
    return answer;
  }

  const chat = (key: string, body: object) => send("POST", "/v1/chat/completions", key, { ...prompt, ...body });

  /** What holds no secret: the answer to the making of a key is the one place that shows it, and is not looked at. */
  function assertClean(what: string, text: string, allowed: readonly string[] = []): void {
    for (const [kind, secret] of Object.entries({ ...planted, databasePassword: databasePassword() })) {
      if (allowed.includes(secret)) continue;
      for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")]) {
        const at = text.indexOf(form);
        assert.equal(at, -1, `${kind} is in ${what}: ${text.slice(Math.max(0, at - 300), at + 300)}`);
      }
    }
  }

  function databasePassword(): string {
    return new URL(postgres?.url.reveal() ?? "postgresql://u:none@h/d").password;
  }

  async function use(): Promise<void> {
    for (const key of [planted.virtualKey, planted.queryKey]) {
      const made = await gateway.request("/key/generate", { body: { key, max_budget: 10, metadata: { team: "a" } } });
      assert.equal(made.status, 200, await made.text());
    }
    for (const model of ["of-environment", "of-file"]) {
      for (const stream of [false, true]) {
        assert.equal((await chat(planted.virtualKey, { model, stream })).status, 200);
      }
    }
    for (const model of ["refused", "nowhere", "no-such-model"]) {
      assert.ok((await chat(planted.virtualKey, { model })).status >= 400);
    }
    assert.equal((await chat(planted.unknownKey, { model: "of-file" })).status, 401);
    await chat(masterKey, { model: "of-file", api_key: planted.providerKeyOfFile, temperature: "wrong" });
    await send("GET", `/v1beta/models?key=${planted.queryKey}`, "");
    await send("GET", `/v1/models?key=${planted.queryKey}`, "");
  }

  /** Every admin path, as the master and as the key itself, with nothing and with a secret in the place of a name. */
  async function administer(): Promise<void> {
    for (const { verb, path } of adminPaths()) {
      for (const key of [masterKey, planted.virtualKey]) {
        if (verb === "GET") await send(verb, path, key);
        else await send(verb, path, key, {});
      }
    }
    await send("POST", "/key/update", masterKey, { key: planted.unknownKey, max_budget: 1 });
    await send("POST", "/key/generate", masterKey, { key: planted.virtualKey });
  }

  test("no secret is in any log, answer, metric, event, row or file", { timeout: 120_000 }, async () => {
    await use();
    await administer();
    const paths = ["/metrics", "/openapi.json", "/", "/health/readiness", "/health/liveliness", "/public/providers"];
    for (const path of paths) await send("GET", path, masterKey);
    const ports = [...gateway.output().matchAll(/pid \d+, port (\d+)/g)].map(([, port]) => port);
    assert.equal(ports.length, 5);
    for (const port of ports) {
      const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
      answers.push(await metrics.text());
    }
    const rows = await spendRows(gateway, planted.virtualKey, 4);
    answers.push(JSON.stringify(rows));
    assertClean("a row of the database", await dumpDatabase());
    // Connections that break tell in the log where they led.
    await postgres?.down();
    process.kill(gateway.servicePid("auth"), "SIGTERM");
    await chat(planted.virtualKey, { model: "of-file" });
    await send("GET", "/key/info", masterKey);
    await sleep(1_500);
    await postgres?.restart();
    await sleep(1_000);
    assert.ok(events.some((event) => event.includes("UsageRecorded")) && events.length > 5, `${events.length} events`);
    assert.ok(gateway.output().includes('"level":"debug"'));
    assertClean("a log line", gateway.output());
    for (const event of events) assertClean("an event", event);
    for (const answer of answers) assertClean("an answer", answer, echoed(answer));
    assertClean("a file", await filesOf(dataDir));
  });

  /** The making of a key with a given value, and what a caller names a key by, come back to that caller. */
  function echoed(answer: string): string[] {
    return /^POST \/key\/(update|generate) /.test(answer) ? [planted.unknownKey] : [];
  }

  async function dumpDatabase(): Promise<string> {
    const url = postgres?.url ?? assert.fail();
    const database = await openDatabase({ url, ...authSchema, log: createLogger("error") });
    try {
      const tables = await database
        .em()
        .execute(
          "select table_schema as s, table_name as t from information_schema.tables where table_schema in ('auth', 'accounting', 'router')",
        );
      assert.ok(tables.length > 10);
      const texts: string[] = [];
      for (const { s, t } of tables) {
        const rows = await database.em().execute(`select to_jsonb(x)::text as row from ${s}.${t} x`);
        for (const { row } of rows) texts.push(`${t}: ${row}`);
      }
      return texts.join("\n");
    } finally {
      await database.close();
    }
  }

  /** What the processes wrote: journals and the like. The configuration file holds the secrets that it was given. */
  async function filesOf(directory: string): Promise<string> {
    const texts: string[] = [];
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || entry.name === "config.yaml") continue;
      const path = join(entry.parentPath, entry.name);
      texts.push(`${path}: ${await readFile(path, "latin1").catch(() => "")}`);
    }
    return texts.join("\n");
  }
}
