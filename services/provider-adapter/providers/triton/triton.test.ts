import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { payloadsOfAnyCut } from "../../testing/any-cut.ts";
import { bodyObject, fixture, providerCall } from "../../translate/testing/provider-call.ts";
import { triton } from "./triton.ts";

const host = "http://triton:8000";
const chat: JsonObject = { model: "group", messages: [{ role: "user", content: "Hi" }] };
const embeddings = { operation: Operation.EMBEDDINGS } as const;

const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}) =>
  triton.begin(providerCall(body, { model: "my model", baseUrl: host, credential: undefined, ...changes }));
const bytes = (value: JsonObject) => Buffer.from(JSON.stringify(value));

test("the address is the server's, or says model and method", () => {
  const named = `${host}/v2/models/other`;
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, `${host}/v2/models/my%20model/generate`],
    [{ stream: true }, `${host}/v2/models/my%20model/generate_stream`],
    [{ baseUrl: `${named}/generate` }, `${named}/generate`],
    [{ baseUrl: `${named}/generate`, stream: true }, `${named}/generate_stream`],
    [{ baseUrl: `${named}/infer`, stream: true }, `${named}/infer`],
  ];
  for (const [changes, url] of cases) assert.equal(begin(chat, changes).request.url, url);
  assert.equal(begin({ input: "a" }, embeddings).request.url, `${host}/v2/models/my%20model/infer`);
  assert.throws(() => begin(chat, { baseUrl: "" }), /api_base/);
});

test("a text is asked for by members, or by tensors", () => {
  const asked = { ...chat, max_tokens: 9, temperature: 0.5, stop: ["x"], beam_width: 2 };
  assert.deepEqual(bodyObject(begin(asked).request.body), {
    text_input: "Hi",
    parameters: { max_tokens: 9, temperature: 0.5, beam_width: 2, stop_words: ["x"] },
    stream: false,
  });
  assert.deepEqual(bodyObject(begin(asked, { baseUrl: `${host}/v2/models/m/infer` }).request.body).inputs, [
    { name: "text_input", shape: [1], datatype: "BYTES", data: ["Hi"] },
    { name: "max_tokens", shape: [1], datatype: "INT32", data: [9] },
    { name: "temperature", shape: [1], datatype: "FP32", data: [0.5] },
    { name: "beam_width", shape: [1], datatype: "INT32", data: [2] },
    { name: "stop_words", shape: [1], datatype: "BYTES", data: ["x"] },
  ]);
  const limitOf = (changes: Partial<ProviderCall>) => bodyObject(begin(chat, changes).request.body).parameters;
  assert.deepEqual(limitOf({}), { max_tokens: 2000 });
  assert.deepEqual(limitOf({ outputTokenCap: 100 }), { max_tokens: 100 });
  assert.throws(() => begin({ ...chat, tools: [{}] }), /'tools'/);
});

test("a text comes back, whole, streamed in any cut, or as a tensor", () => {
  assert.match(
    begin()
      .decodeBody(bytes({ text_output: "Hello" }))
      .toString(),
    /"content":"Hello".*"finish_reason":"stop"/,
  );
  const told = payloadsOfAnyCut(() => begin(chat, { stream: true }), fixture("../triton/generate.sse"));
  assert.match(told, /"content":"Hello".*"content":", you".*"finish_reason":"stop".*\[DONE\]/s);
  const tensors = begin(chat, { baseUrl: `${host}/v2/models/m/infer`, stream: true });
  const outputs = [{ name: "text_output", shape: [1], datatype: "BYTES", data: ["Hello"] }];
  const payloads = [...(tensors.decodeWhole?.(bytes({ outputs })) ?? []), ...tensors.finish()];
  assert.match(Buffer.concat(payloads).toString(), /"content":"Hello".*\[DONE\]/s);
});

function statusOf(run: () => unknown): number | undefined {
  try {
    run();
  } catch (error) {
    return findUpstreamError(ConnectError.from(error))?.httpStatus;
  }
  return 200;
}

test("what fails", () => {
  const event = (data: string) => Buffer.from(`data: ${data}\n\n`);
  const streaming = () => begin(chat, { stream: true });
  assert.equal(
    statusOf(() => begin().decodeBody(bytes({ error: "no model" }))),
    500,
  );
  assert.equal(
    statusOf(() => begin().decodeBody(bytes({}))),
    502,
  );
  assert.equal(
    statusOf(() => streaming().decodeEvents([event('{"error":"x"}')])),
    500,
  );
  assert.equal(
    statusOf(() => streaming().decodeEvents([event("{")])),
    502,
  );
  assert.equal(
    statusOf(() => streaming().finish()),
    502,
  );
  assert.equal(triton.classifyError(404, {}, bytes({ error: "unknown model" })).message, "unknown model");
});

test("embeddings are rows of a tensor", () => {
  const exchange = begin({ input: ["a", "b"], encoding_format: "base64" }, embeddings);
  const input = { name: "input_text", shape: [2], datatype: "BYTES", data: ["a", "b"] };
  assert.deepEqual(bodyObject(exchange.request.body), { inputs: [input] });
  const outputs = [{ name: "embedding", shape: [2, 2], datatype: "FP32", data: [1, 2, 3, 4] }];
  const { data } = bodyObject(exchange.decodeBody(bytes({ outputs })));
  const floats = (text: string) => [...new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer)];
  assert.deepEqual(Array.isArray(data) && data.map((item) => floats(String(Object(item).embedding))), [
    [1, 2],
    [3, 4],
  ]);
  const broken = [{ shape: [2, 3], data: [1, 2, 3, 4] }];
  assert.equal(
    statusOf(() => exchange.decodeBody(bytes({ outputs: broken }))),
    502,
  );
});
