import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import {
  asMaster,
  asVirtual,
  deliver,
  noon,
  recordId,
  startAccounting,
  startBackends,
  usage,
} from "./testing/accounting-fixture.ts";

const backends = await startBackends();
after(() => Promise.all(backends.map((backend) => backend.stop())));

const key = "sk-some-test-key-0123456789";
const keyHash = createHash("sha256").update(key).digest("hex");
const dayMs = 86_400_000;

for (const backend of backends) {
  describe(`spend logs on ${backend.name}`, async () => {
    const accounting = await startAccounting(backend.url);
    after(() => accounting.close());
    const scope = `key:${keyHash}`;
    await deliver(accounting, [
      usage(1, noon, scope, 1_500_000_000n, { endUser: "eve", teamId: "blue" }),
      usage(2, noon - dayMs, scope, 250_000_000n, {
        userId: "bob",
        status: UsageStatus.FAILED,
        firstPayloadAt: undefined,
      }),
      usage(3, noon - dayMs, "key:other", 125_000_000n, { upstreamModel: "__proto__" }),
    ]);

    async function list(
      request: Parameters<typeof accounting.spend.listSpendLogs>[0],
    ): Promise<Record<string, unknown>[]> {
      const { logs } = await accounting.spend.listSpendLogs(request, asMaster);
      const parsed: unknown = JSON.parse(new TextDecoder().decode(logs));
      assert.ok(Array.isArray(parsed));
      return parsed;
    }

    test("a row has LiteLLM's columns and the gateway's own", async () => {
      const [row, ...rest] = await list({ requestId: "call-1" });
      assert.deepEqual(rest, []);
      assert.deepEqual(row, {
        request_id: "call-1",
        call_type: "acompletion",
        api_key: keyHash,
        spend: 1.5,
        total_tokens: 18,
        prompt_tokens: 13,
        completion_tokens: 5,
        startTime: "2026-06-10T11:59:59.000Z",
        endTime: "2026-06-10T12:00:00.000Z",
        completionStartTime: "2026-06-10T11:59:59.500Z",
        model: "gpt-4o-2024-08-06",
        model_id: "deployment-1",
        model_group: "gpt-4o",
        custom_llm_provider: "openai",
        api_base: "",
        user: "ann",
        metadata: {
          user_api_key: keyHash,
          user_api_key_alias: null,
          user_api_key_user_id: "ann",
          user_api_key_team_id: "blue",
          attempted_retries: 0,
          attempted_fallbacks: 0,
        },
        cache_hit: "False",
        request_tags: ["a", 'b"c', "d,e"],
        team_id: "blue",
        end_user: "eve",
        status: "success",
        session_id: null,
        record_id: recordId(noon, 1),
        requested_model: "gpt-4o",
        upstream_model: "gpt-4o-2024-08-06",
        deployment: "deployment-1",
        stream: true,
        usage_status: "success",
        cost_nano_usd: 1_500_000_000,
        cost_state: "priced",
        cached_tokens: 3,
        cache_write_tokens: 0,
        reasoning_tokens: 2,
        usage_estimated: false,
        finish_reason: "stop",
      });
    });

    test("filters narrow the rows, newest first", async () => {
      const cases: [string, Parameters<typeof accounting.spend.listSpendLogs>[0], string[]][] = [
        ["nothing", {}, ["call-1", "call-3", "call-2"]],
        ["limit", { limit: 1 }, ["call-1"]],
        ["raw key", { apiKey: key }, ["call-1", "call-2"]],
        ["hash", { apiKey: keyHash }, ["call-1", "call-2"]],
        ["user", { userId: "bob" }, ["call-2"]],
        ["record id", { requestId: recordId(noon - dayMs, 3).toUpperCase() }, ["call-3"]],
        ["from", { startDate: "2026-06-10" }, ["call-1"]],
        ["until", { endDate: "2026-06-09" }, ["call-3", "call-2"]],
        ["dates", { startDate: "2026-06-09", endDate: "2026-06-10", summarize: false }, ["call-1", "call-3", "call-2"]],
        ["no such key", { apiKey: "x' or 1=1 --" }, []],
      ];
      for (const [name, request, expected] of cases) {
        const found = (await list(request)).map((row) => row.request_id);
        assert.deepEqual(found, expected, name);
      }
    });

    test("with both dates the answer is a sum per day", async () => {
      const days = await list({ startDate: "2026-06-01", endDate: "2026-06-30" });
      const [first, second] = days;
      assert.equal(days.length, 2);
      assert.equal(first?.startTime, "2026-06-09");
      assert.equal(first?.spend, 0.375);
      assert.deepEqual(first?.users, { ann: 0.125, bob: 0.25 });
      assert.equal(first?.other, 0.125);
      assert.deepEqual(second, {
        startTime: "2026-06-10",
        spend: 1.5,
        users: { ann: 1.5 },
        models: { "gpt-4o-2024-08-06": 1.5 },
        [keyHash]: 1.5,
      });
      const [only] = await list({ startDate: "2026-06-01", endDate: "2026-06-30", userId: "bob" });
      assert.equal(only?.spend, 0.25);
    });

    test("only the master key may list, and malformed parameters are named", async () => {
      for (const options of [asVirtual, {}]) {
        await assert.rejects(accounting.spend.listSpendLogs({}, options), { code: Code.PermissionDenied });
      }
      const cases: [Parameters<typeof accounting.spend.listSpendLogs>[0], RegExp][] = [
        [{ startDate: "June" }, /start_date/],
        [{ endDate: "2026-02-30" }, /end_date/],
        [{ startDate: "2026-06-02", endDate: "2026-06-01" }, /before/],
        [{ startDate: "2020-01-01", endDate: "2026-06-01" }, /366 days/],
        [{ limit: 0 }, /limit/],
        [{ limit: 1001 }, /limit/],
        [{ userId: "a\0" }, /user_id/],
      ];
      for (const [request, message] of cases) {
        await assert.rejects(accounting.spend.listSpendLogs(request, asMaster), message);
      }
    });

    test("a database that is gone is UNAVAILABLE", async () => {
      const gone = await startAccounting(backend.url);
      await gone.database.close();
      await assert.rejects(gone.spend.getSpend({ scopes: ["a"] }), { code: Code.Unavailable });
      await assert.rejects(gone.quota.lease({ owner: "o", scopes: [{ limits: { scope: "a" } }] }), {
        code: Code.Unavailable,
      });
      await assert.rejects(deliver(gone, [usage(9, noon, "key:gone", 1n)]));
      await gone.close();
    });
  });
}
