import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { type Gateway, startGateway } from "../services/mesh/gateway.ts";
import { startLoad } from "./harness/call-load.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const masterKey = "sk-master-of-the-tests";
const hello = { model: "mock/echo", messages: [{ role: "user", content: "Hello!" }] };
/** Longer than an edge trusts what it remembers of a key. */
const beyondFreshMs = 11_000;

if (meshAvailable()) {
  describe("keys while the database or auth is away", () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let dataDir: string;
    let gateway: GatewayProcess;
    before(async () => {
      [nats, postgres, dataDir] = await Promise.all([startTestNats(), startTestPostgres(), makeDataDir()]);
      const env = {
        NATS_URL: nats?.url ?? "",
        DATABASE_URL: postgres?.url.reveal() ?? "",
        SLUICE_AUTH_TIMEOUT_MS: "1000",
      };
      gateway = await startGatewayProcess({ entry: "services/mesh/local-mesh.ts", dataDir, env, masterKey });
    });
    after(async () => {
      await gateway?.stop();
      await Promise.all([nats?.stop(), postgres?.stop()]);
      await removeDataDir(dataDir);
    });

    async function call(key: string): Promise<Response> {
      const response = await gateway.request("/v1/chat/completions", { key, body: hello });
      await response.text();
      return response;
    }

    async function assertAway(response: Response, what: string): Promise<void> {
      const text = await response.text().catch(() => "");
      assert.equal(response.status, 503, `${what}: ${text}`);
      assert.ok(Number(response.headers.get("retry-after")) >= 1, `${what}: no retry-after`);
    }

    /** A key that nobody has made, another one each time: an edge remembers for a while that there is no such key. */
    const unknown = { count: 0, next: () => `sk-nobody-has-made-this-${++unknown.count}` };

    /** What nobody can answer while the database is away: a 503 that says when to come again, never a 401. */
    async function assertNobodyKnows(unused: string): Promise<void> {
      const asked: [what: string, answer: Promise<Response>][] = [
        ["a key that was not used before", call(unused)],
        ["a key that does not exist", call(unknown.next())],
        ...["/user/list", `/key/info?key=${unused}`, "/customer/list", "/tag/list"].map(
          (path): [string, Promise<Response>] => [path, gateway.request(path)],
        ),
        ...["/key/generate", "/user/new", "/budget/new"].map((path): [string, Promise<Response>] => [
          path,
          gateway.request(path, { body: {} }),
        ]),
      ];
      for (const [what, answer] of asked) await assertAway(await answer, what);
    }

    /** Everything works again by itself, and every call of the time of the fault has its row. */
    async function assertRecovered(unused: string, known: string, calls: number): Promise<void> {
      const deadline = Date.now() + 20_000;
      while ((await call(unused)).status !== 200) {
        assert.ok(Date.now() < deadline, "it did not recover");
        await sleep(100);
      }
      assert.equal((await call(unknown.next())).status, 401);
      assert.equal((await gateway.request("/user/list")).status, 200);
      await generateKey(gateway);
      await spendRows(gateway, known, calls);
    }

    async function during(
      fault: () => Promise<void>,
      meanwhile: (unused: string) => Promise<void>,
      over: () => Promise<unknown>,
    ) {
      const [known, unused] = [await generateKey(gateway), await generateKey(gateway)];
      assert.equal((await call(known)).status, 200);
      const load = startLoad(() => gateway.request("/v1/chat/completions", { key: known, body: hello }), 1, 100);
      const state = { enough: 0 };
      try {
        await fault();
        state.enough = load.count() + 10;
        await meanwhile(unused);
        const deadline = Date.now() + 30_000;
        while (load.count() < state.enough && Date.now() < deadline) await sleep(50);
      } finally {
        await over();
      }
      const { calls, failures } = await load.stop();
      assert.deepEqual(failures, []);
      assert.ok(calls >= state.enough, `${calls} calls`);
      await assertRecovered(unused, known, calls + 1);
    }

    test("PostgreSQL frozen for longer than a key is trusted", async () => {
      await during(
        async () => postgres?.pause(),
        async (unused) => {
          const until = Date.now() + beyondFreshMs;
          const began = performance.now();
          await assertAway(await gateway.request("/team/list"), "/team/list");
          // Three seconds, and as much again for a busy machine; a connection alone would be waited for longer.
          assert.ok(performance.now() - began < 6_000, `/team/list: ${performance.now() - began} ms`);
          await assertNobodyKnows(unused);
          await sleep(Math.max(0, until - Date.now()));
          await assertAway(await call(unused), "a key that was not used before, later");
        },
        async () => postgres?.resume(),
      );
    });

    test("PostgreSQL stopped", async () => {
      await during(
        async () => postgres?.down(),
        async (unused) => {
          await assertNobodyKnows(unused);
          await sleep(2_000);
        },
        async () => postgres?.restart(),
      );
    });

    test("auth killed", async () => {
      await during(
        async () => {
          // Whoever starts it again stands still, so that it is away for as long as it is asked.
          gateway.kill("SIGSTOP");
          process.kill(gateway.servicePid("auth"), "SIGKILL");
        },
        async (unused) => {
          await assertAway(await call(unused), "a key that was not used before");
          await assertAway(await call(unknown.next()), "a key that does not exist");
          await assertAway(await gateway.request("/user/list"), "/user/list");
        },
        async () => {
          gateway.kill("SIGCONT");
          await sleep(3_000);
        },
      );
    });
  });

  describe("two replicas that change one thing at once", () => {
    let postgres: TestPostgres | undefined;
    const dirs: string[] = [];
    const replicas: Gateway[] = [];
    before(async () => {
      postgres = await startTestPostgres();
      for (let at = 0; at < 2; at += 1) {
        const dataDir = await makeDataDir();
        dirs.push(dataDir);
        const own = { SLUICE_DATA_DIR: dataDir, HOST: "127.0.0.1", PORT: "0", SLUICE_LOG: "error" };
        const env = { DATABASE_URL: postgres?.url.reveal(), LITELLM_MASTER_KEY: masterKey, ...own };
        replicas.push(await startGateway(env));
      }
    });
    after(async () => {
      for (const replica of replicas) await replica.close();
      await Promise.all([postgres?.stop(), ...dirs.map(removeDataDir)]);
    });

    async function ask(at: number, path: string, body?: object) {
      const response = await fetch(`http://127.0.0.1:${replicas[at]?.port}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${masterKey}`, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, text: await response.text() };
    }

    test("no change is lost, whichever fields they are of", async () => {
      const { key } = JSON.parse((await ask(0, "/key/generate", {})).text);
      for (let round = 1; round <= 10; round += 1) {
        const changes = [
          { rpm_limit: round },
          { tpm_limit: round * 2 },
          { max_budget: round * 3 },
          { metadata: { round } },
          { tags: [`round ${round}`] },
          { models: [`model-${round}`] },
        ];
        const answers = await Promise.all(changes.map((each, at) => ask(at % 2, "/key/update", { key, ...each })));
        for (const { status, text } of answers) assert.equal(status, 200, text);
        const { info } = JSON.parse((await ask(round % 2, `/key/info?key=${key}`)).text);
        for (const change of changes) {
          for (const [name, value] of Object.entries(change)) assert.deepEqual(info[name], value, `${name}, ${round}`);
        }
      }
    });

    test("of two that have read the same version one is told to read again", async () => {
      await ask(0, "/customer/new", { user_id: "shared" });
      for (let version = 1; version <= 5; version += 1) {
        const answers = await Promise.all(
          [0, 1].map((at) => ask(at, "/customer/update", { user_id: "shared", alias: `by ${at}`, version })),
        );
        assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 409]);
        assert.match(
          answers.find(({ status }) => status === 409)?.text ?? "",
          /Somebody else has changed this meanwhile/,
        );
      }
    });
  });
}
