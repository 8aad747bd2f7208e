import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { NdjsonSplitter } from "../../ndjson.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixture,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
  toldInPieces,
} from "../../translate/testing/provider-call.ts";
import { langflow } from "./langflow.ts";

const chat: JsonObject = { messages: [{ role: "user", content: "Hi" }] };
const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}): Exchange =>
  langflow.begin(providerCall(body, { model: "flow-1", baseUrl: "http://flow.test", callId: "a", ...changes }));

test("a chat is a run of a flow", () => {
  const { url, headers, body } = begin({ ...chat, session_id: "s" }).request;
  assert.equal(url, "http://flow.test/api/v1/run/flow-1?stream=false");
  assert.deepEqual([headers["x-api-key"], headers.authorization], ["sk-ant-test", undefined]);
  assert.deepEqual(bodyObject(body), { input_value: "Hi", input_type: "chat", output_type: "chat", session_id: "s" });
  const talk = [
    { role: "system", content: "Be." },
    { role: "user", content: "Hi" },
  ];
  assert.match(String(bodyObject(begin({ messages: talk }).request.body).input_value), /Be\.[\s\S]*Hi/);
  assert.throws(() => begin({ ...chat, temperature: 0.5 }), /temperature/);
  assert.throws(() => begin(chat, { baseUrl: "" }), /LANGFLOW_API_BASE/);
});

test("whole answers", () => {
  const results = { results: { message: { text: "Sunny" } } };
  const messages = { messages: [{ message: "Sunny" }] };
  for (const output of [results, messages]) {
    const answer = Buffer.from(JSON.stringify({ outputs: [{ outputs: [output] }] }));
    const { choices } = bodyObject(begin().decodeBody(answer));
    assert.equal(Object(Array.isArray(choices) ? choices[0] : {}).message.content, "Sunny");
  }
  for (const body of ["<html>", "{}", '{"outputs":[]}'])
    assert.throws(() => begin().decodeBody(Buffer.from(body)), body);
});

function run(size: () => number, bytes = fixture("../langflow/chat.ndjson")): Uint8Array[] {
  const exchange = begin(chat, { stream: true });
  return toldInPieces(exchange, bytes, size, new NdjsonSplitter());
}

const said = (payloads: readonly Uint8Array[]) =>
  payloadObjects(payloads)
    .flatMap(({ choices }) => (Array.isArray(choices) ? choices : []))
    .map((choice) => Object(choice).delta.content ?? "")
    .join("");

test("a stream is told under any cut of its bytes, and without tokens by its end", () => {
  const whole = run(() => 100_000);
  assert.equal(said(whole), "Sunny ☀");
  const random = randomNumbers(13);
  for (let round = 0; round < 30; round += 1) {
    assert.deepEqual(texts(run(() => 1 + Math.floor(random() * 30))), texts(whole));
  }
  const lines = fixture("../langflow/chat.ndjson").toString().split("\n");
  assert.equal(said(run(() => 100_000, Buffer.from(`${lines.at(-2)}\n`))), "Sunny ☀");
  assert.throws(() => run(() => 100_000, Buffer.from(`${lines[2]}\n`)), /before the answer was complete/);
});

test("messages come by way of a chat", () => {
  const exchange = begin({ ...chat, max_tokens: 5 }, { operation: Operation.MESSAGES, dropParams: true });
  const answer = Buffer.from('{"outputs":[{"outputs":[{"results":{"message":{"text":"Sunny"}}}]}]}');
  assert.equal(bodyObject(exchange.decodeBody(answer)).stop_reason, "end_turn");
});
