import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type CallSettings, requestOf, startAdapter } from "../testing/adapter-under-test.ts";

const upstream = await startFakeUpstream();
const adapter = startAdapter();
after(async () => {
  await upstream.close();
  await adapter.close();
});

const key = "sk-a-key-that-must-not-leak-0123456789";

function targetOf(provider: string, changes: CallSettings["target"] = {}): CallSettings["target"] {
  return {
    provider,
    model: "claude-sonnet-4-5",
    baseUrl: upstream.url,
    sealedCredential: adapter.seal(key),
    ...changes,
  };
}

async function previewOf(target: CallSettings["target"], settings: Partial<CallSettings> = {}) {
  const { headers, url, method, body } = await adapter.requests.preview({ call: requestOf({ ...settings, target }) });
  return { headers, url, method, body: JSON.parse(Buffer.from(body).toString()) };
}

test("a preview shows the translated request and no credential, and sends nothing", async () => {
  const shown = await previewOf(targetOf("anthropic", { headers: { "x-mine": "also-a-secret" } }));
  assert.equal(shown.method, "POST");
  assert.equal(shown.url, `${upstream.url}/v1/messages`);
  assert.equal(shown.headers["x-api-key"], "*****");
  assert.equal(shown.headers["x-mine"], "*****");
  assert.equal(shown.headers["anthropic-version"], "2023-06-01");
  assert.equal(shown.body.model, "claude-sonnet-4-5");
  assert.equal(typeof shown.body.max_tokens, "number");
  assert.doesNotMatch(JSON.stringify(shown), /must-not-leak|also-a-secret/);
  assert.equal(upstream.requests.length, 0);
});

test("a preview masks passwords, parameters and a credential wherever they stand", async () => {
  const cases: [CallSettings["target"], unknown, RegExp][] = [
    [{ provider: "openai", baseUrl: "https://me:pass-word@x.test/v1" }, {}, /pass-word|me:/],
    [{ provider: "openai", baseUrl: `https://x.test/${key}/v1` }, {}, /must-not-leak/],
    [{ provider: "openai", baseUrl: "https://x.test/v1" }, { note: key }, /must-not-leak/],
  ];
  for (const [target, members, secret] of cases) {
    const body = { model: "m", messages: [], ...Object(members) };
    const shown = await previewOf(targetOf(target.provider ?? "", target), { body });
    assert.doesNotMatch(JSON.stringify(shown), secret);
    assert.match(JSON.stringify(shown), /\*{5}/);
  }
});

function reasonName(reason: Reason): string | undefined {
  return Object.entries(Reason).find(([, value]) => value === reason)?.[0];
}

test("a preview fails as the call would", async () => {
  const reasonOf = async (target: CallSettings["target"], body?: unknown) => {
    try {
      await previewOf(target, body === undefined ? {} : { body });
      return "answered";
    } catch (error) {
      const found = findGatewayError(ConnectError.from(error));
      return found === undefined ? String(error) : `${reasonName(found.reason)} ${found.param}`.trim();
    }
  };
  const body = { model: "m", messages: [{ role: "user", content: "a" }], n: 2 };
  assert.equal(await reasonOf(targetOf("mock")), "OPERATION_UNSUPPORTED");
  assert.equal(await reasonOf(targetOf("openai", { mockResponse: "a" })), "OPERATION_UNSUPPORTED");
  assert.equal(await reasonOf(targetOf("anthropic"), body), "INVALID_REQUEST n");
  assert.equal(await reasonOf(targetOf("anthropic", { dropParams: true }), body), "answered");
  const allowed = await previewOf(targetOf("anthropic", { allowedOpenaiParams: ["n"] }), { body });
  assert.equal(allowed.body.n, 2);
});

test("Anthropic counts, and says what fails", async () => {
  const settings = {
    target: targetOf("anthropic"),
    operation: Operation.MESSAGES,
    headers: { "anthropic-beta": "b-1" },
  };
  const body = { model: "group", messages: [{ role: "user", content: "Hi" }], system: "Be kind" };
  const call = requestOf({ ...settings, body, stream: true });
  upstream.answer({ body: '{"input_tokens":12}', headers: { "content-type": "application/json" } });
  const counted = await adapter.requests.countTokens({ call });
  assert.deepEqual([counted.inputTokens, counted.estimated], [12n, false]);
  const sent = upstream.requests.at(-1);
  assert.equal(sent?.url, "/v1/messages/count_tokens");
  assert.equal(sent?.headers["x-api-key"], key);
  assert.equal(sent?.headers["anthropic-beta"], "b-1");
  assert.deepEqual(JSON.parse(String(sent?.body)), { ...body, model: "claude-sonnet-4-5" });
  for (const [answer, status] of [
    [{ status: 401, body: `{"type":"error","error":{"type":"authentication_error","message":"no ${key}"}}` }, 401],
    [{ body: '{"count":1}', headers: { "content-type": "application/json" } }, 502],
    [{ instead: "cut" }, 500],
  ] as const) {
    upstream.answer(answer);
    await assert.rejects(adapter.requests.countTokens({ call }), (error) => {
      assert.equal(findUpstreamError(ConnectError.from(error))?.httpStatus, status);
      assert.doesNotMatch(String(error), /must-not-leak/);
      return true;
    });
  }
});

test("for every other provider the count is the edge's estimate", async () => {
  const operation = Operation.MESSAGES;
  const before = upstream.requests.length;
  for (const target of [targetOf("openai"), targetOf("mock"), targetOf("anthropic", { mockResponse: "a" })]) {
    const counted = await adapter.requests.countTokens({ call: requestOf({ target, operation }) });
    assert.deepEqual([counted.inputTokens, counted.estimated], [7n, true]);
  }
  assert.equal(upstream.requests.length, before);
  await assert.rejects(adapter.requests.countTokens({ call: requestOf({ target: targetOf("openai") }) }));
  await assert.rejects(adapter.requests.countTokens({}));
});

test("the parameters of a model", async () => {
  const { params } = await adapter.requests.listSupportedParams({ call: requestOf({ target: targetOf("anthropic") }) });
  assert.ok(params.includes("tools") && params.includes("stream") && !params.includes("n"));
  await assert.rejects(
    adapter.requests.listSupportedParams({ call: requestOf({ target: targetOf("voyage") }) }),
    (error) => findGatewayError(ConnectError.from(error))?.reason === Reason.OPERATION_UNSUPPORTED,
  );
});
