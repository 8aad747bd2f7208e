import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { readCaller } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { ListSpendLogsResponseSchema, SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import {
  type GenerateKeyRequest,
  GenerateKeyResponseSchema,
  GetKeyInfoResponseSchema,
  KeyService,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { post, send } from "../testing/raw-http.ts";
import { startTestEdge, type TestEdge } from "../testing/scripted-mesh.ts";
import { bindRest } from "./rest-binding.ts";

let edge: TestEdge;
const asked: { generated?: GenerateKeyRequest; caller?: boolean | undefined; info?: string; summarize?: boolean } = {};

before(async () => {
  const keys = createLocalClient(KeyService, {
    generateKey(request, { requestHeader }) {
      asked.generated = request;
      asked.caller = readCaller(requestHeader)?.master;
      if (request.settings?.keyAlias === "taken") throw gatewayError(Reason.CONFLICT, "taken", { param: "key_alias" });
      return create(GenerateKeyResponseSchema, {
        key: "sk-new",
        stored: {
          keyName: "sk-...-new",
          settings: {
            models: request.settings?.models,
            metadata: request.settings?.metadata,
            limits: { maxBudget: request.settings?.limits?.maxBudget, tpmLimit: 5n },
          },
          expires: timestampFromMs(0),
        },
      });
    },
    getKeyInfo(request, { requestHeader }) {
      asked.info = request.key;
      asked.caller = readCaller(requestHeader)?.master;
      return create(GetKeyInfoResponseSchema, { key: "sk-a", info: { keyName: "sk-...", spend: 1_500_000_000n } });
    },
    deleteKeys: ({ keys: deletedKeys }) => ({ deletedKeys }),
  });
  const spend = createLocalClient(SpendService, {
    getSpend: () => ({}),
    listSpendLogs({ summarize }) {
      asked.summarize = summarize;
      return create(ListSpendLogsResponseSchema, { logs: Buffer.from('[{"spend":0.5}]') });
    },
  });
  edge = await startTestEdge({ rest: [bindRest(KeyService, keys), bindRest(SpendService, spend)] });
});
after(() => edge.stop());

test("a request and an answer take LiteLLM's form", async () => {
  const answer = await post(`${edge.url}/key/generate`, {
    key_alias: "a",
    max_budget: 0.1,
    models: ["gpt-4o"],
    metadata: { team: "x", deep: [1, { a: null }] },
    rpm_limit: 7,
    guardrails: [],
    aliases: {},
    unheard_of: true,
    user_id: null,
  });
  assert.equal(answer.status, 200, answer.text);
  const { generated } = asked;
  assert.equal(generated?.settings?.limits?.maxBudget, 100_000_000n);
  assert.equal(generated?.settings?.limits?.rpmLimit, 7n);
  assert.equal(generated?.settings?.userId, undefined);
  assert.deepEqual(JSON.parse(Buffer.from(generated?.settings?.metadata ?? []).toString()), {
    team: "x",
    deep: [1, { a: null }],
  });
  assert.equal(asked.caller, true);
  const body = JSON.parse(answer.text);
  assert.equal(body.key, "sk-new");
  assert.equal(body.max_budget, 0.1);
  assert.equal(body.tpm_limit, 5);
  assert.equal(body.rpm_limit, null);
  assert.equal(body.expires, "1970-01-01T00:00:00Z");
  assert.deepEqual(body.metadata, { team: "x", deep: [1, { a: null }] });
  assert.deepEqual(body.models, ["gpt-4o"]);
});

test("the service is told by which call, on whose behalf and from where; a proxy's word counts where it is trusted", async () => {
  const callers: (readonly (string | undefined)[])[] = [];
  const keys = createLocalClient(KeyService, {
    getKeyInfo(_, { requestHeader }) {
      const caller = readCaller(requestHeader);
      callers.push([caller?.operation, caller?.changedBy, caller?.address]);
      return create(GetKeyInfoResponseSchema, {});
    },
  });
  const headers = { "x-forwarded-for": "10.1.2.3, 10.9.9.9", "litellm-changed-by": "a script" };
  for (const trustForwardedFor of [true, false]) {
    const own = await startTestEdge({ rest: [bindRest(KeyService, keys)], config: { trustForwardedFor } });
    await send(`${own.url}/key/info?key=x`, { headers: { authorization: "Bearer sk-master", ...headers } });
    await own.stop();
  }
  assert.deepEqual(callers[0], ["GET /key/info", "a script", "10.1.2.3"]);
  assert.match(callers[1]?.[2] ?? "", /127\.0\.0\.1$/);
});

test("wrong types, unbuilt fields and the service's refusals name the field", async () => {
  const cases: [body: unknown, status: number, param: string | null, message: RegExp][] = [
    [{ max_budget: "lots" }, 400, "max_budget", /a number of US dollars/],
    [{ max_budget: 1e300 }, 400, "max_budget", /a number of US dollars/],
    [{ models: "gpt-4o" }, 400, "models", /a list, each of it a string/],
    [{ models: [1] }, 400, "models", /a list/],
    [{ rpm_limit: 1.5 }, 400, "rpm_limit", /a whole number/],
    [{ key_alias: 5 }, 400, "key_alias", /a string/],
    [{ guardrails: ["a"] }, 400, "guardrails", /not supported yet/],
    [{ router_settings: { a: 1 } }, 400, "router_settings", /not supported yet/],
    [{ send_invite_email: true }, 400, "send_invite_email", /not supported yet/],
    [{ key_alias: "taken" }, 409, "key_alias", /taken/],
    ["[]", 400, null, /JSON object/],
    ["{", 400, null, /position 1/],
  ];
  for (const [body, status, param, message] of cases) {
    const answer = await post(`${edge.url}/key/generate`, body);
    const { error } = JSON.parse(answer.text);
    assert.deepEqual([answer.status, error.param], [status, param], JSON.stringify(body));
    assert.match(error.message, message);
  }
  assert.equal((await post(`${edge.url}/key/generate`, "")).status, 200);
  // In a list too, where it would be missed all the more easily.
  const bulk = await post(`${edge.url}/key/bulk_update`, {
    keys: [{ key: "sk-a" }, { key: "sk-b", guardrails: ["a"] }],
  });
  assert.deepEqual([bulk.status, JSON.parse(bulk.text).error.param], [400, "guardrails"]);
});

test("access is as declared, and who calls is passed on", async () => {
  const key = { authorization: "Bearer sk-virtual" };
  const denied = await post(`${edge.url}/key/generate`, {}, key);
  assert.deepEqual([denied.status, JSON.parse(denied.text).error.type], [403, "auth_error"]);
  assert.equal((await send(`${edge.url}/key/generate`, { method: "POST", body: "{}" })).status, 401);
  assert.equal((await send(`${edge.url}/spend/logs`, { headers: key })).status, 403);
  const info = await send(`${edge.url}/key/info?key=sk-a%2B1`, { headers: key });
  assert.equal(info.status, 200, info.text);
  assert.deepEqual([asked.caller, asked.info], [false, "sk-a+1"]);
  const body = JSON.parse(info.text);
  assert.deepEqual([body.key, body.info.spend, body.info.expires], ["sk-a", 1.5, null]);
});

test("a field can be the whole body, and a query has types", async () => {
  const headers = { authorization: "Bearer sk-master" };
  const logs = await send(`${edge.url}/spend/logs?summarize=false&limit=3&__proto__=x`, { headers });
  assert.deepEqual(JSON.parse(logs.text), [{ spend: 0.5 }]);
  assert.equal(asked.summarize, false);
  const wrong = await send(`${edge.url}/spend/logs?summarize=maybe`, { headers });
  assert.deepEqual([wrong.status, JSON.parse(wrong.text).error.param], [400, "summarize"]);
  const limit = await send(`${edge.url}/spend/logs?limit=many`, { headers });
  assert.deepEqual([limit.status, JSON.parse(limit.text).error.param], [400, "limit"]);
  const deleted = await post(`${edge.url}/key/delete`, { keys: ["a", "b"] });
  assert.deepEqual(JSON.parse(deleted.text), { deleted_keys: ["a", "b"] });
});
