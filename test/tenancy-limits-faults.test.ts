import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { generateKey } from "./harness/spend.ts";

const masterKey = "sk-master-of-the-tests";
/** What a call of the model with a price costs, US dollars: one output token; input is free, so that estimates are exact. */
const cost = 0.01;
const configuration = `model_list:
  - model_name: priced
    litellm_params: { model: mock/echo, input_cost_per_token: 0, output_cost_per_token: ${cost} }
`;
/** Short, so that wallets end within an outage. */
const leaseTtlMs = 4_000;

if (meshAvailable()) {
  describe("a key with limits while the database is away", () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let dataDir: string;
    let gateway: GatewayProcess;
    before(async () => {
      [nats, postgres, dataDir] = await Promise.all([startTestNats(), startTestPostgres(), makeDataDir()]);
      const config = join(dataDir, "config.yaml");
      await writeFile(config, configuration);
      const env = {
        CONFIG_FILE_PATH: config,
        SLUICE_LEASE_TTL_MS: String(leaseTtlMs),
        NATS_URL: nats?.url ?? "",
        DATABASE_URL: postgres?.url.reveal() ?? "",
      };
      gateway = await startGatewayProcess({ entry: "services/mesh/local-mesh.ts", dataDir, env, masterKey });
    });
    after(async () => {
      await gateway?.stop();
      await Promise.all([nats?.stop(), postgres?.stop()]);
      await removeDataDir(dataDir);
    });

    for (const [what, fault, over] of [
      ["frozen", () => postgres?.pause(), () => postgres?.resume()],
      ["stopped", () => postgres?.down(), () => postgres?.restart()],
    ] as const) {
      test(`it lives on what is leased while PostgreSQL is ${what}, then gets a 503, and never overspends`, async () => {
        const affordable = 60;
        const limits = { max_budget: affordable * cost, rpm_limit: 10_000, max_parallel_requests: 10 };
        const key = await generateKey(gateway, limits);
        const body = { model: "priced", max_tokens: 1, messages: [{ role: "user", content: "Hello" }] };
        const seen = { answered: 0, during: new Map<number, number>() };
        const spend = async (): Promise<number> => {
          const response = await gateway.request("/v1/chat/completions", { key, body });
          const text = await response.text();
          if (response.status === 200) seen.answered += 1;
          else assert.match(text, response.status === 503 ? /./ : /Budget has been exceeded/);
          if (response.status === 503) assert.ok(Number(response.headers.get("retry-after")) >= 1, text);
          return response.status;
        };
        for (let call = 0; call < 5; call += 1) assert.equal(await spend(), 200);
        await fault();
        try {
          const until = Date.now() + 2 * leaseTtlMs + 2_000;
          while (Date.now() < until) {
            const status = await spend();
            seen.during.set(status, (seen.during.get(status) ?? 0) + 1);
            await sleep(300);
          }
        } finally {
          await over();
        }
        assert.ok((seen.during.get(200) ?? 0) > 0, "nothing was leased");
        assert.deepEqual([...seen.during.keys()].filter((status) => status !== 200).toSorted(), [503]);
        // A wallet that nobody uses ends with what got lost of it: later where the machine, or the database, stalled again.
        const deadline = Date.now() + 90_000;
        while (seen.answered < affordable) {
          assert.ok(Date.now() < deadline, `${seen.answered} calls were answered`);
          while ((await spend()) === 200) assert.ok(seen.answered <= affordable);
          await sleep(leaseTtlMs);
        }
        assert.equal(await spend(), 400);
        assert.equal(seen.answered, affordable);
      });
    }
  });
}
