import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { type Gateway, startGateway } from "../services/mesh/gateway.ts";
import { makeDataDir, meshAvailable, removeDataDir } from "./harness/gateway-process.ts";

const masterKey = "sk-master-of-the-tests";
/** What one call costs, US dollars: one output token; input is free, so that estimates are exact. */
const cost = 0.01;
/** A refusal answers like calls for a moment without another question to accounting. */
const refusalMemoryMs = 300;
const configuration = `model_list:
  - model_name: priced
    litellm_params: { model: mock/echo, input_cost_per_token: 0, output_cost_per_token: ${cost} }
litellm_settings:
  max_budget: ${20 * cost}
  max_end_user_budget: ${3 * cost}
`;

if (meshAvailable()) {
  describe("budgets that the configuration file has, on two replicas that share a database alone", () => {
    let postgres: TestPostgres | undefined;
    const dirs: string[] = [];
    const replicas: Gateway[] = [];
    before(async () => {
      postgres = await startTestPostgres();
      for (let at = 0; at < 2; at += 1) {
        const dataDir = await makeDataDir();
        dirs.push(dataDir);
        const config = join(dataDir, "config.yaml");
        await writeFile(config, configuration);
        const own = { SLUICE_DATA_DIR: dataDir, HOST: "127.0.0.1", PORT: "0", SLUICE_LOG: "error" };
        const env = { DATABASE_URL: postgres?.url.reveal(), LITELLM_MASTER_KEY: masterKey, CONFIG_FILE_PATH: config };
        replicas.push(await startGateway({ ...env, ...own }));
      }
    });
    after(async () => {
      for (const replica of replicas) await replica.close();
      await Promise.all([postgres?.stop(), ...dirs.map(removeDataDir)]);
    });

    async function ask(at: number, key: string, path: string, body: object): Promise<{ status: number; text: string }> {
      const response = await fetch(`http://127.0.0.1:${replicas[at % 2]?.port}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return { status: response.status, text: await response.text() };
    }

    function call(at: number, key: string, members: object = {}) {
      const messages = [{ role: "user", content: "Hello" }];
      return ask(at, key, "/v1/chat/completions", { model: "priced", max_tokens: 1, messages, ...members });
    }

    /** Makes calls, a few at a time, until none was answered for a while: what one replica holds back, it gives back. */
    async function countAnswered(key: string, members: object = {}): Promise<number> {
      let answered = 0;
      for (let refusedRounds = 0; refusedRounds < 5; ) {
        const answers = await Promise.all([0, 1, 2, 3].map((at) => call(at, key, members)));
        for (const { status, text } of answers)
          assert.ok(status === 200 || /Budget has been exceeded/.test(text), text);
        const count = answers.filter(({ status }) => status === 200).length;
        answered += count;
        refusedRounds = count === 0 ? refusedRounds + 1 : 0;
        await sleep(refusalMemoryMs);
      }
      return answered;
    }

    test("customers without limits have the usual budget, and all calls together the gateway's", async () => {
      const made = await Promise.all([0, 1].map((at) => ask(at, masterKey, "/key/generate", {})));
      const [first, second] = made.map(({ text }): string => JSON.parse(text).key);
      assert.ok(first && second);
      assert.equal(await countAnswered(first, { user: "anna" }), 3);
      assert.equal(await countAnswered(second, { user: "bert" }), 3);
      assert.equal((await call(0, first, { user: "anna" })).status, 400);
      assert.equal((await countAnswered(first)) + (await countAnswered(second)), 14);
      assert.equal((await call(1, second)).status, 400);
      assert.equal((await call(0, masterKey)).status, 200, "the master key counts and is not bound");
    });
  });
}
