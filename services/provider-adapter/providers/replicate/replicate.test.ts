import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { payloadsOfAnyCut } from "../../testing/any-cut.ts";
import { bodyObject, fixture, providerCall } from "../../translate/testing/provider-call.ts";
import { replicate } from "./replicate.ts";

const chat: JsonObject = { model: "group", messages: [{ role: "user", content: "Hi" }] };
const model = "meta/meta-llama-3-70b-instruct";
const version = "a".repeat(64);

const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}) =>
  replicate.begin(providerCall(body, { model, credential: new Secret("r8_key"), callId: "c1", ...changes }));
const bytes = (value: JsonObject) => Buffer.from(JSON.stringify(value));

test("a prediction of a model, a version, or a deployment", () => {
  const cases: readonly [string, string, JsonObject][] = [
    [model, `/models/${model}/predictions`, {}],
    [`owner/name:${version}`, "/predictions", { version }],
    [version, "/predictions", { version }],
    ["deployments/me/mine", "/deployments/me/mine/predictions", {}],
  ];
  for (const [name, path, extra] of cases) {
    const { request } = begin(chat, { model: name });
    assert.equal(request.url, `https://api.replicate.com/v1${path}`);
    assert.deepEqual(bodyObject(request.body), { ...extra, input: { prompt: "Hi" } });
    assert.deepEqual([request.headers.authorization, request.headers.prefer], ["Bearer r8_key", "wait=5"]);
  }
  const { request } = begin(chat, { stream: true });
  assert.deepEqual(bodyObject(request.body), { input: { prompt: "Hi" }, stream: true });
  assert.equal(request.headers.prefer, undefined);
  assert.throws(() => begin(chat, { credential: undefined }), /REPLICATE_API_KEY/);
});

test("the input has the model's words", () => {
  const input = (body: JsonObject, changes?: Partial<ProviderCall>) =>
    bodyObject(begin(body, changes).request.body).input;
  const system = { role: "system", content: "Be brief." };
  const messages = [
    system,
    { role: "user", content: "A" },
    { role: "assistant", content: "B" },
    { role: "user", content: "C" },
  ];
  assert.deepEqual(input({ messages, max_tokens: 9, stop: ["x", "y"], top_k: 3 }), {
    top_k: 3,
    prompt: "User: A\nAssistant: B\nUser: C\nAssistant:",
    system_prompt: "Be brief.",
    max_tokens: 9,
    stop_sequences: "x,y",
  });
  const limited = { ...chat, max_tokens: 9 };
  assert.deepEqual(input(limited, { model: "openai/gpt-4o" }), { prompt: "Hi", max_completion_tokens: 9 });
  assert.deepEqual(input(limited, { model: "meta/llama-2-70b-chat" }), { prompt: "Hi", max_new_tokens: 9 });
  assert.throws(() => begin({ ...chat, tools: [{}] }), /'tools'/);
});

const underWay = { id: "p1", status: "processing", urls: { stream: "https://stream.replicate.com/v1/x" } };

test("a prediction that is not made yet is looked at again, one that is made is the answer", () => {
  const exchange = begin();
  const next = exchange.followUp?.(bytes(underWay));
  assert.deepEqual(
    [next?.afterMs, next?.request.method, next?.request.url],
    [500, "GET", "https://api.replicate.com/v1/predictions/p1"],
  );
  assert.equal(next?.request.headers.authorization, "Bearer r8_key");
  const made = {
    ...underWay,
    status: "succeeded",
    output: ["He", "llo"],
    metrics: { input_token_count: 4, output_token_count: 2 },
  };
  assert.equal(exchange.followUp?.(bytes(made)), undefined);
  const told = bodyObject(exchange.decodeBody(bytes(made)));
  assert.match(JSON.stringify(told), /"content":"Hello"/);
  assert.deepEqual(told.usage, { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 });
  assert.equal(exchange.outcome().usage.estimated, false);
  assert.equal(begin().followUp?.(bytes({ ...underWay, id: "../x" })), undefined);
});

test("a prediction under way is stopped, one that is over is not", () => {
  const exchange = begin(chat, { stream: true });
  assert.equal(exchange.abandon?.(), undefined);
  exchange.followUp?.(bytes(underWay));
  const stop = exchange.abandon?.();
  assert.deepEqual(
    [stop?.method, stop?.url, stop?.headers.authorization],
    ["POST", "https://api.replicate.com/v1/predictions/p1/cancel", "Bearer r8_key"],
  );
  exchange.decodeEvents([Buffer.from("event: done\ndata: {}\n\n")]);
  assert.equal(exchange.abandon?.(), undefined);
  const polled = begin();
  polled.followUp?.(bytes(underWay));
  polled.followUp?.(bytes({ ...underWay, status: "succeeded" }));
  assert.equal(polled.abandon?.(), undefined);
});

test("the key goes to the stream of Replicate's own hosts alone", () => {
  const addressOf = (stream: string) =>
    begin(chat, { stream: true }).followUp?.(bytes({ ...underWay, urls: { stream } }))?.request.url;
  const poll = "https://api.replicate.com/v1/predictions/p1";
  const own = ["https://stream.replicate.com/v1/x", "https://stream-b.svc.c.replicate.net/x"];
  for (const address of own) assert.equal(addressOf(address), address);
  const others = ["https://evil.test/x", "http://stream.replicate.com/x", "https://xreplicate.com/x", "", "no url"];
  for (const address of others) assert.equal(addressOf(address), poll);
});

test("a stream in any cut", () => {
  const body = fixture("../replicate/stream.sse");
  const told = payloadsOfAnyCut(() => begin(chat, { stream: true }), body);
  const texts = [...told.matchAll(/"content":("(?:[^"\\]|\\.)*")/g)].map(([, text = '""']) => JSON.parse(text));
  assert.equal(texts.join(""), "Once upon a time:\n\na fox");
  assert.ok(told.endsWith("data: [DONE]\n\n"));
});

test("a model without a stream is told at once", () => {
  const exchange = begin(chat, { stream: true });
  const made = { id: "p1", status: "succeeded", output: "Hello" };
  const told = Buffer.concat([...(exchange.decodeWhole?.(bytes(made)) ?? []), ...exchange.finish()]).toString();
  assert.match(told, /"content":"Hello".*"finish_reason":"stop".*\[DONE\]/s);
  const messages = { max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };
  const over = begin(messages, { stream: true, operation: Operation.MESSAGES });
  const events = Buffer.concat([...(over.decodeWhole?.(bytes(made)) ?? []), ...over.finish()]).toString();
  assert.match(events, /message_start.*Hello.*message_stop/s);
});

test("what fails", () => {
  const detailOf = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      const detail = findUpstreamError(ConnectError.from(error));
      return [detail?.httpStatus, detail?.message];
    }
    return [200];
  };
  const event = (name: string, data: string) => Buffer.from(`event: ${name}\ndata: ${data}\n\n`);
  const streaming = () => begin(chat, { stream: true });
  assert.deepEqual(
    detailOf(() => begin().decodeBody(bytes({ status: "failed", error: "CUDA out of memory" }))),
    [500, "replicate: CUDA out of memory"],
  );
  const invalid = { status: "failed", error: "Input validation error: top_p" };
  assert.equal(detailOf(() => begin().decodeBody(bytes(invalid)))[0], 400);
  assert.equal(detailOf(() => begin().decodeBody(bytes({ status: "canceled" })))[0], 500);
  assert.equal(detailOf(() => begin().decodeBody(bytes({ status: "succeeded", output: { a: 1 } })))[0], 502);
  assert.equal(detailOf(() => streaming().decodeEvents([event("error", "broken")]))[0], 500);
  assert.equal(detailOf(() => streaming().decodeEvents([event("done", '{"reason": "canceled"}')]))[0], 500);
  assert.equal(detailOf(() => streaming().finish())[0], 502);
  const refused = replicate.classifyError(
    422,
    {},
    bytes({ title: "Input", detail: "input: prompt is required", status: 422 }),
  );
  assert.deepEqual([refused.httpStatus, refused.message, refused.retryable], [422, "input: prompt is required", false]);
});
