import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { readTestEnv } from "#chassis/testing/config.ts";
import { eventually } from "./harness/eventually.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

/** One process from its first start on, through stops and kills, as a newcomer's laptop sees it. */
const run = promisify(execFile);
const entry = "services/main.ts";
const hello = { messages: [{ role: "user", content: "Hello!" }] };

describe("a laptop", () => {
  let dataDir: string;
  let gateway: GatewayProcess;
  before(async () => {
    dataDir = await makeDataDir();
    gateway = await startGatewayProcess({ entry, dataDir });
  });
  after(async () => {
    await gateway?.stop();
    await removeDataDir(dataDir);
  });

  const curlLine = () => /curl http[\s\S]*?\]}'/.exec(gateway.output())?.[0] ?? "";

  test("the first start prints the generated master key and a curl line that answers", async () => {
    assert.ok(gateway.output().includes(`Bearer ${gateway.masterKey}`));
    const { stdout } = await run("bash", ["-c", curlLine()]);
    assert.match(stdout, /"content":"Hello!"/);
  });

  test("a second process on the same data directory is refused in a sentence", async () => {
    await assert.rejects(startGatewayProcess({ entry, dataDir }), ({ message }: Error) => {
      assert.match(message, /another Sluice process uses it/);
      assert.ok(message.includes(dataDir));
      assert.doesNotMatch(message, /\.ts:\d+/);
      return true;
    });
  });

  test("an answered call survives kill -9 as exactly one row, and a stream cut by it as an interrupted one", async () => {
    const key = await generateKey(gateway, { max_budget: 1 });
    const answered = await gateway.request("/v1/chat/completions", { key, body: { model: "mock/echo", ...hello } });
    await answered.text();
    const endless = { model: "mock/long", stream: true, mock: { tokens: 1000, chunk_interval_ms: 20 }, ...hello };
    const stream = await gateway.request("/v1/chat/completions", { key, body: endless });
    await stream.body?.getReader().read();
    const second = gateway.request("/v1/chat/completions", { key, body: { model: "mock/echo", ...hello } });
    await (await second).text();
    gateway.kill("SIGKILL");
    await gateway.exited;

    gateway = await startGatewayProcess({ entry, dataDir });
    assert.ok(!gateway.output().includes(gateway.masterKey), "the stored key is printed once only");
    const rows = await spendRows(gateway, key, 3);
    assert.deepEqual(rows.map((row) => row.usage_status).sort(), ["interrupted", "success", "success"]);
    const again = await gateway.request("/v1/chat/completions", { key, body: { model: "mock/echo", ...hello } });
    assert.equal(again.status, 200, "the dead process's reservations are gone");
    await spendRows(gateway, key, 4);
  });

  test("SIGTERM lets a stream end and takes nobody new", async () => {
    const slow = { model: "mock/slow", stream: true, mock: { tokens: 40, chunk_interval_ms: 100 }, ...hello };
    const response = await gateway.request("/v1/chat/completions", { body: slow });
    const state = { over: false };
    const text = response.text().finally(() => {
      state.over = true;
    });
    gateway.kill("SIGTERM");
    // An idle connection is answered for a moment still.
    const answers = () =>
      gateway.request("/health/liveliness").then(
        (response) => response.text().then(() => true),
        () => false,
      );
    assert.equal(await eventually(false, 3_500, answers), false);
    assert.equal(state.over, false, "the stream was over before the gateway took nobody new");
    assert.ok((await text).endsWith("data: [DONE]\n\n"));
    assert.equal(await gateway.exited, 0);
    gateway = await startGatewayProcess({ entry, dataDir });
  });
});

describe("a configuration that is wrong stops the start in a sentence", () => {
  const cases: [string, string, RegExp][] = [
    ["malformed YAML", "model_list: [", /config\.yaml:\d+: malformed YAML/],
    [
      "a wrong type",
      "model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/gpt-4o\n      rpm: ten\n",
      /config\.yaml:5: model_list\[0\]\.litellm_params\.rpm: expected a positive integer, got "ten"/,
    ],
    ["a list where a mapping is due", "general_settings: [1]", /config\.yaml:1: general_settings: expected a mapping/],
  ];
  for (const [what, yaml, expected] of cases) {
    test(what, async () => {
      const dataDir = await makeDataDir();
      const config = join(dataDir, "config.yaml");
      await writeFile(config, yaml);
      const start = startGatewayProcess({ entry, dataDir, env: { CONFIG_FILE_PATH: config } });
      await assert.rejects(start, ({ message }: Error) => {
        assert.match(message, expected);
        assert.doesNotMatch(message, /\.ts:\d+/);
        return true;
      });
      await removeDataDir(dataDir);
    });
  }

  test("a port that is taken is named", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const dataDir = await makeDataDir();
    const main = join(import.meta.dirname, "../services/main.ts");
    const args = [main, "--port", String(port), "--host", "127.0.0.1"];
    const failure = await run(process.execPath, args, { env: { SLUICE_DATA_DIR: dataDir } }).catch((error) => error);
    assert.match(String(failure.stderr), new RegExp(`Port ${port} is in use`));
    taken.close();
    await removeDataDir(dataDir);
  });
});

if (meshAvailable())
  test("a local mesh one of whose servers does not start ends, and says which", async () => {
    const dataDir = await makeDataDir();
    const broken = join(dataDir, "nats-server");
    await writeFile(broken, "#!/bin/sh\necho 'out of order' >&2\nexit 1\n", { mode: 0o755 });
    const env = { PATH: `${dataDir}:${readTestEnv().path}` };
    const failed = startGatewayProcess({ entry: "services/mesh/local-mesh.ts", dataDir, masterKey: "sk-mesh", env });
    await assert.rejects(failed, ({ message }: Error) => {
      assert.match(message, /Sluice cannot start\.\s+\S+nats-server ended at its start: out of order\s*$/);
      return true;
    });
    const folder = createHash("sha256").update(join(dataDir, "mesh")).digest("hex").slice(0, 12);
    await rm(`/var/tmp/sluice-${folder}`, { recursive: true, force: true });
    await removeDataDir(dataDir);
  });
