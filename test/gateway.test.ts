import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { eventually, toldMs } from "./harness/eventually.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

/** The same expectations of one process and of five. */
const placements = [
  ["one process", "services/main.ts"],
  ...(meshAvailable() ? [["the mesh", "services/mesh/local-mesh.ts"] as const] : []),
] as const;

const completion = (tokens: number) => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "gpt-4o-2024-08-06",
  choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 10, completion_tokens: tokens, total_tokens: 10 + tokens },
});
const jsonCompletion = (tokens: number) => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify(completion(tokens)),
});
const hello = { messages: [{ role: "user", content: "Hello!" }] };

for (const [placement, entry] of placements) {
  describe(`a gateway, ${placement}`, () => {
    let gateway: GatewayProcess;
    let upstream: FakeUpstream;
    let dataDir: string;
    before(async () => {
      dataDir = await makeDataDir();
      upstream = await startFakeUpstream(jsonCompletion(5));
      const env = { OPENAI_API_KEY: "sk-canary-provider", OPENAI_BASE_URL: `${upstream.url}/v1` };
      gateway = await startGatewayProcess({ entry, env, dataDir });
    });
    after(async () => {
      await gateway?.stop();
      await upstream?.close();
      await removeDataDir(dataDir);
    });

    test("the first answer needs no account", async () => {
      const response = await gateway.request("/v1/chat/completions", { body: { model: "mock/echo", ...hello } });
      assert.equal(response.status, 200);
      assert.match(await response.text(), /"content":"Hello!"/);
      for (const header of ["x-litellm-call-id", "x-litellm-model-id", "x-litellm-response-cost", "server-timing"]) {
        assert.ok(response.headers.get(header), header);
      }
    });

    test("a stream ends with [DONE]", async () => {
      const body = { model: "mock/echo", stream: true, ...hello };
      const response = await gateway.request("/v1/chat/completions", { body });
      assert.equal(response.headers.get("content-type"), "text/event-stream");
      assert.ok((await response.text()).endsWith("data: [DONE]\n\n"));
    });

    test("every answered call leaves exactly one spend row with its price", async () => {
      const key = await generateKey(gateway, { key_alias: `rows-${placement}` });
      for (let call = 0; call < 5; call++) {
        const response = await gateway.request("/v1/chat/completions", { key, body: { model: "gpt-4o", ...hello } });
        assert.equal(response.status, 200);
      }
      const rows = await spendRows(gateway, key, 5);
      for (const row of rows) {
        // gpt-4o: 2.50 and 10.00 dollars for a million tokens.
        assert.equal(row.cost_nano_usd, 10 * 2500 + 5 * 10_000);
        assert.equal(row.usage_status, "success");
      }
      assert.equal(new Set(rows.map((row) => row.record_id)).size, 5);
      const info = await gateway.request(`/key/info?key=${key}`);
      const { spend } = z.object({ info: z.object({ spend: z.number() }) }).parse(await info.json()).info;
      assert.equal(spend, (5 * 75_000) / 1e9);
    });

    test("200 calls at once never overspend a budget that pays for 10", async () => {
      const cost = 10 * 2500 + 5 * 10_000;
      const key = await generateKey(gateway, { max_budget: (10 * cost) / 1e9 });
      const body = { model: "gpt-4o", max_tokens: 5, ...hello };
      const statuses = await Promise.all(
        Array.from({ length: 200 }, async () => {
          const response = await gateway.request("/v1/chat/completions", { key, body });
          await response.text();
          return response.status;
        }),
      );
      const answered = statuses.filter((status) => status === 200).length;
      assert.ok(answered >= 1 && answered <= 10, `${answered} calls were answered`);
      assert.ok(
        statuses.every((status) => status === 200 || status === 400),
        `${[...new Set(statuses)]}`,
      );
      const rows = await spendRows(gateway, key, answered);
      const spent = rows.reduce((sum, row) => sum + row.cost_nano_usd, 0);
      assert.ok(spent <= 10 * cost, `${spent} nano-dollars were spent of ${10 * cost}`);
    });

    test("limits hold: requests, parallel calls, models, lifetime", async () => {
      const limited = await generateKey(gateway, { rpm_limit: 2 });
      const statuses = [];
      for (let call = 0; call < 3; call++) {
        const body = { model: "mock/echo", ...hello };
        const response = await gateway.request("/v1/chat/completions", { key: limited, body });
        await response.text();
        statuses.push(response.status);
      }
      assert.deepEqual(statuses, [200, 200, 429]);

      const narrow = await generateKey(gateway, { max_parallel_requests: 1 });
      const held = Promise.withResolvers<void>();
      upstream.answer(() => held.promise.then(() => jsonCompletion(5)));
      const asked = upstream.requests.length;
      const call = { key: narrow, body: { model: "gpt-4o", ...hello } };
      const first = gateway.request("/v1/chat/completions", call);
      while (upstream.requests.length === asked) await sleep(10);
      const second = await gateway.request("/v1/chat/completions", call);
      assert.equal(second.status, 429);
      held.resolve();
      assert.equal((await first).status, 200);
      upstream.answer(jsonCompletion(5));

      const restricted = await generateKey(gateway, { models: ["mock/*"] });
      const denied = await gateway.request("/v1/chat/completions", {
        key: restricted,
        body: { model: "gpt-4o", ...hello },
      });
      assert.equal(denied.status, 401);
      assert.match(await denied.text(), /key_model_access_denied/);

      const brief = await generateKey(gateway, { duration: "1s" });
      await sleep(1100);
      const expired = await gateway.request("/v1/chat/completions", {
        key: brief,
        body: { model: "mock/echo", ...hello },
      });
      assert.equal(expired.status, 401);
      assert.match(await expired.text(), /expired_key/);
    });

    test("a deleted key is refused everywhere as soon as it is told", async () => {
      const key = await generateKey(gateway);
      const body = { model: "mock/echo", ...hello };
      assert.equal((await gateway.request("/v1/chat/completions", { key, body })).status, 200);
      await gateway.request("/key/delete", { body: { keys: [key] } });
      const status = async () => (await gateway.request("/v1/chat/completions", { key, body })).status;
      assert.equal(await eventually(401, toldMs, status), 401);
    });

    test("a client that hangs up aborts the upstream, and what was used is recorded", async () => {
      const key = await generateKey(gateway);
      const event = (content: string) =>
        `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n\n`;
      upstream.answer({
        headers: { "content-type": "text/event-stream" },
        body: event("a") + event("b") + event("c"),
        chunking: "events",
        ending: "hang",
      });
      const before = upstream.requests.length;
      const abort = new AbortController();
      const body = { model: "gpt-4o", stream: true, ...hello };
      const response = await gateway.request("/v1/chat/completions", { key, body, signal: abort.signal });
      const reader = response.body?.getReader();
      await reader?.read();
      await sleep(100);
      abort.abort();
      await upstream.requests[before]?.aborted;
      upstream.answer(jsonCompletion(5));
      const [row] = await spendRows(gateway, key, 1);
      assert.equal(row?.usage_status, "aborted");
      assert.equal(row?.usage_estimated, true);
      assert.ok((row?.completion_tokens ?? 0) > 0);
    });

    test("no provider key is in any output", () => {
      assert.ok(!gateway.output().includes("sk-canary-provider"));
    });
  });
}
