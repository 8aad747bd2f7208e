import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CallerKind, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { post, send } from "../testing/raw-http.ts";
import { startTestEdge } from "../testing/scripted-mesh.ts";

const asked: InferRequest[] = [];
const note = (call: InferRequest | undefined) => {
  if (call !== undefined) asked.push(call);
};
const edge = await startTestEdge({
  requests: {
    countTokens({ call }) {
      note(call);
      return { inputTokens: 12n, estimated: call?.model === "gpt-4o" };
    },
    preview({ call }) {
      note(call);
      const headers = { "x-api-key": "*****" };
      return { method: "POST", url: "https://x.test/v1", headers, body: call?.body ?? new Uint8Array() };
    },
    listSupportedParams({ call }) {
      note(call);
      return { params: ["n", "tools"] };
    },
  },
});
after(() => edge.stop());
const virtual = { authorization: "Bearer sk-virtual" };

test("tokens are counted, and an estimate says that it is one", async () => {
  const body = { model: "claude", messages: [{ role: "user", content: "Hello" }], stream: true, num_retries: 1 };
  const exact = await post(`${edge.url}/v1/messages/count_tokens`, body);
  assert.deepEqual([exact.status, JSON.parse(exact.text)], [200, { input_tokens: 12 }]);
  assert.equal(exact.headers["x-sluice-token-count"], "provider");
  const call = asked.at(-1);
  assert.equal(call?.operation, Operation.MESSAGES);
  assert.equal(call?.stream, false);
  assert.ok((call?.shape?.inputTokens ?? 0) > 0);
  const estimated = await post(`${edge.url}/v1/messages/count_tokens`, { ...body, model: "gpt-4o" }, virtual);
  assert.equal(estimated.headers["x-sluice-token-count"], "estimated");
  assert.deepEqual(asked.at(-1)?.caller?.models, ["gpt-4o"]);
  const refused = await post(`${edge.url}/v1/messages/count_tokens`, { model: "claude" });
  assert.equal(refused.status, 400);
  assert.equal(JSON.parse(refused.text).type, "error", "in Anthropic's words");
  assert.equal((await send(`${edge.url}/v1/messages/count_tokens`, { body: "{}" })).status, 401);
});

test("the upstream request is shown to the master key", async () => {
  const path = `${edge.url}/utils/transform_request`;
  const request_body = { model: "gpt-4o", messages: [], num_retries: 2, n: 2 };
  const shown = await post(path, { call_type: "acompletion", request_body });
  assert.deepEqual(JSON.parse(shown.text), {
    raw_request_method: "POST",
    raw_request_api_base: "https://x.test/v1",
    raw_request_headers: { "x-api-key": "*****" },
    raw_request_body: { model: "gpt-4o", messages: [], n: 2 },
    error: null,
  });
  assert.equal(asked.at(-1)?.operation, Operation.CHAT_COMPLETIONS);
  assert.equal(asked.at(-1)?.options?.numRetries, 2);
  const google = { model: "gpt-4o", contents: [] };
  await post(path, { call_type: "agenerate_content", request_body: google });
  assert.equal(asked.at(-1)?.operation, Operation.GENERATE_CONTENT);
  assert.equal((await post(path, { call_type: "completion", request_body }, virtual)).status, 403);
  for (const [body, param] of [
    [{ call_type: "moderation", request_body }, "call_type"],
    [{ call_type: "completion" }, "request_body"],
    [{ call_type: "completion", request_body: { messages: [] } }, "model"],
  ] as const) {
    const refused = await post(path, body);
    assert.deepEqual([refused.status, JSON.parse(refused.text).error.param], [400, param]);
  }
});

test("the parameters of a model are asked for with the rights of the key", async () => {
  const path = `${edge.url}/utils/supported_openai_params`;
  const answer = await send(`${path}?model=gpt-4o`, { headers: virtual });
  assert.deepEqual(JSON.parse(answer.text), { supported_openai_params: ["n", "tools"] });
  assert.equal(asked.at(-1)?.caller?.kind, CallerKind.VIRTUAL_KEY);
  assert.equal((await send(path, { headers: virtual })).status, 400);
  assert.equal((await send(`${path}?model=gpt-4o`)).status, 401);
});
