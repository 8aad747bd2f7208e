import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { predibase } from "./predibase.ts";

const own = "https://serving.app.predibase.com";
const chat: JsonObject = { model: "group", messages: [{ role: "user", content: "Hi" }] };
const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}) =>
  predibase.begin(providerCall(body, { model: "llama 3", settings: { tenant_id: "t1" }, ...changes }));

test("the model is in the address, with the tenant", () => {
  const path = "t1/deployments/v2/llms/llama%203/v1";
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, `${own}/${path}/chat/completions`],
    [{ operation: Operation.COMPLETIONS }, `${own}/${path}/completions`],
    [{ baseUrl: "https://mine.test" }, `https://mine.test/${path}/chat/completions`],
    [
      { baseUrl: "https://mine.test/t2/deployments/v2/llms", settings: {} },
      "https://mine.test/t2/deployments/v2/llms/llama%203/v1/chat/completions",
    ],
  ];
  for (const [changes, url] of cases) assert.equal(begin(chat, changes).request.url, url);
  assert.throws(() => begin(chat, { settings: {} }), /PREDIBASE_TENANT_ID/);
  assert.throws(() => begin(chat, { credential: undefined }), /PREDIBASE_API_KEY/);
});

test("the body's model is an adapter", () => {
  const modelOf = (body: JsonObject, changes?: Partial<ProviderCall>) => bodyObject(begin(body, changes).request.body);
  assert.deepEqual(modelOf(chat), { ...chat, model: "" });
  assert.deepEqual(modelOf({ ...chat, adapter_id: "a/1" }), { ...chat, model: "a/1" });
  assert.deepEqual(modelOf(chat, { defaultParams: { adapter_id: "a/2" } }), { ...chat, model: "a/2" });
});
