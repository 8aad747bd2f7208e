import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { findPostgres } from "#chassis/database/postgres-server.ts";
import { readTestEnv } from "#chassis/testing/config.ts";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { startLoad } from "./harness/call-load.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { helloAnswer, jsonAnswer } from "./harness/provider-answers.ts";
import { startShell } from "./harness/shell-command.ts";
import { generateKey } from "./harness/spend.ts";

const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/runbooks/master-key.md"), "utf8");
const blocks = [...page.matchAll(/^```sh (.+)\n([\s\S]*?)^```$/gm)].map(([, info = "", commands = ""]) => ({
  step: /\bstep=(\S+)/.exec(info)?.[1],
  database: /\bdatabase=(\S+)/.exec(info)?.[1],
  info,
  commands,
}));

const oldMasterKey = "sk-runbook-old-0a1b2c3d4e";
const newMasterKey = "sk-runbook-new-0a1b2c3d4e";
const providerKey = "sk-runbook-provider-0a1b2c3d4e";
const prompt = { model: "stored", messages: [{ role: "user", content: "Hello!" }] };

type DatabaseKind = "embedded" | "postgresql";

/** Runs the page's blocks, by their names and each once. */
class Runbook {
  readonly #variables: Readonly<Record<string, string>>;
  readonly #left: { step: string; commands: string }[];

  constructor(database: DatabaseKind, variables: Readonly<Record<string, string>>) {
    const named = blocks.find(({ info }) => info === "variables")?.commands ?? "";
    assert.deepEqual(
      Object.keys(variables),
      [...named.matchAll(/^export (\w+)=/gm)].map(([, name]) => name),
    );
    this.#variables = variables;
    this.#left = blocks.flatMap(({ step, commands, database: only }) =>
      step !== undefined && (only ?? database) === database ? [{ step, commands }] : [],
    );
  }

  /** The steps that were not run yet. */
  get left(): string[] {
    return this.#left.map(({ step }) => step);
  }

  /** Runs the next step, which must have this name, and returns what it printed. */
  async run(name: string): Promise<string> {
    const next = this.#left.shift();
    assert.equal(next?.step, name);
    const { path } = readTestEnv();
    const env = { PATH: `${dirname(process.execPath)}:${path}:${findPostgres(path)}`, HOME: "/nonexistent" };
    const options = { cwd: root, env: { ...env, ...this.#variables } };
    const { code, output } = await startShell(next?.commands ?? "", options).done;
    assert.equal(code, 0, `the step ${name} failed: ${output}`);
    return output;
  }
}

function runbookTests(kind: DatabaseKind, processes: number): void {
  describe(`the runbook of the master key, ${kind}`, { timeout: 600_000 }, () => {
    let dir: string;
    let upstream: FakeUpstream;
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let gateways: GatewayProcess[] = [];
    let key: string;
    let runbook: Runbook;

    const envFile = () => join(dir, "sluice.env");

    before(async () => {
      dir = await makeDataDir();
      // Answers only whoever opened the credential that is stored for it.
      upstream = await startFakeUpstream(({ headers }) =>
        headers.authorization === `Bearer ${providerKey}`
          ? helloAnswer("openai", false)
          : jsonAnswer({ error: { message: "wrong key" } }, 401),
      );
      const lines = [`LITELLM_MASTER_KEY=${oldMasterKey}`];
      if (kind === "postgresql") {
        [nats, postgres] = await Promise.all([startTestNats(), startTestPostgres()]);
        lines.push(`NATS_URL=${nats?.url}`, `DATABASE_URL=${postgres?.url.reveal()}`);
      } else {
        lines.push(`SLUICE_DATA_DIR=${join(dir, "0")}`);
      }
      await writeFile(envFile(), `${lines.join("\n")}\n`, { mode: 0o600 });
      for (let at = 0; at < processes; at += 1) gateways.push(await start(at));
      await prepare();
    });
    after(async () => {
      await Promise.all(gateways.map((gateway) => gateway.stop()));
      await Promise.all([upstream?.close(), nats?.stop(), postgres?.stop()]);
      await removeDataDir(dir);
    });

    /** Starts a process with the variables of the file, as they are now. */
    async function start(at: number): Promise<GatewayProcess> {
      const text = await readFile(envFile(), "utf8");
      const env = Object.fromEntries([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
      const dataDir = join(dir, String(at));
      await mkdir(dataDir, { recursive: true });
      return startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey: env.LITELLM_MASTER_KEY });
    }

    /** A stored model with a sealed credential, and a key that calls it on every process. */
    async function prepare(): Promise<void> {
      const litellm_params = { model: "openai/gpt-4o", api_base: `${upstream.url}/v1`, api_key: providerKey };
      const made = await send("/model/new", oldMasterKey, { model_name: "stored", litellm_params });
      assert.equal(made.status, 200, await made.text());
      key = await generateKey(first());
      const deadline = Date.now() + 30_000;
      for (const gateway of gateways) {
        while (!(await gateway.request("/v1/chat/completions", { key, body: prompt })).ok) {
          assert.ok(Date.now() < deadline, gateway.output());
          await sleep(200);
        }
      }
      const restored = new URL(postgres?.url.reveal() ?? "postgresql://none");
      restored.pathname = "/sluice_restored";
      runbook = new Runbook(kind, {
        SLUICE_URL: first().url,
        ENV_FILE: envFile(),
        BACKUP: join(dir, "backup"),
        OLD_MASTER_KEY: oldMasterKey,
        NEW_MASTER_KEY: newMasterKey,
        RESTORED_NAME: "sluice_restored",
        RESTORED_URL: restored.href,
      });
    }

    function first(): GatewayProcess {
      return gateways[0] ?? assert.fail();
    }

    const state = { turn: 0 };

    /** What a load balancer does: the processes take turns, and one that cannot be reached is passed over. */
    async function send(path: string, withKey: string, body?: unknown): Promise<Response> {
      const turn = state.turn++;
      for (let tries = 1; ; tries += 1) {
        const gateway = gateways[(turn + tries) % gateways.length] ?? assert.fail();
        try {
          return await gateway.request(path, { key: withKey, body });
        } catch (error) {
          if (tries >= gateways.length) throw error;
        }
      }
    }

    /** Calls with a virtual key and with a master key all the time, until the work is done. */
    async function whileCalled(masterKey: string, work: () => Promise<void>): Promise<void> {
      const calls = startLoad(() => send("/v1/chat/completions", key, prompt), 2, 50);
      const administration = startLoad(() => send(`/key/info?key=${key}`, masterKey), 1, 100);
      try {
        await work();
      } finally {
        const failures = [await calls.stop(), await administration.stop()].flatMap((load) => load.failures);
        assert.deepEqual(failures, []);
        assert.ok(calls.count() > 0 && administration.count() > 0);
      }
    }

    const status = async (path: string, withKey: string, body?: unknown) => (await send(path, withKey, body)).status;

    test("no call fails while it is rotated, updated and verified", async () => {
      await whileCalled(oldMasterKey, async () => {
        await runbook.run("back-up");
        await runbook.run("rotate");
        await runbook.run("update-environment");
        const output = await runbook.run("verify");
        for (const secret of [oldMasterKey, newMasterKey, providerKey]) assert.ok(!output.includes(secret), output);
      });
      for (const master of [oldMasterKey, newMasterKey]) assert.equal(await status("/v1/models", master), 200);
    });

    test("after a restart the new key is the only one, and with several processes no call fails meanwhile", async () => {
      const restart = async () => {
        for (let at = 0; at < processes; at += 1) {
          await gateways[at]?.stop();
          gateways[at] = await start(at);
        }
      };
      await (processes > 1 ? whileCalled(newMasterKey, restart) : restart());
      assert.equal(await status("/v1/models", newMasterKey), 200);
      assert.equal(await status("/v1/models", oldMasterKey), 401);
      assert.equal(await status("/v1/chat/completions", key, prompt), 200);
    });

    test("what was backed up is restored with the old key", async () => {
      const later = await generateKey(first());
      await Promise.all(gateways.map((gateway) => gateway.stop()));
      await runbook.run("restore");
      await runbook.run("restore-environment");
      await runbook.run("verify-restored");
      assert.deepEqual(runbook.left, []);
      gateways = [await start(0)];
      assert.equal(await status("/v1/models", oldMasterKey), 200);
      assert.equal(await status("/v1/models", newMasterKey), 401);
      assert.equal(await status("/v1/models", later), 401, "made after the backup");
      assert.equal(await status("/v1/chat/completions", key, prompt), 200);
    });
  });
}

runbookTests("embedded", 1);
if (meshAvailable()) runbookTests("postgresql", 2);
