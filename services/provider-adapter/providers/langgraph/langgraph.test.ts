import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixture,
  fixtureEvents,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
  toldInPieces,
} from "../../translate/testing/provider-call.ts";
import { langgraph } from "./langgraph.ts";

const chat = { messages: [{ role: "user", content: "Hi" }] };
const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}): Exchange =>
  langgraph.begin(providerCall(body, { model: "agent", callId: "a", ...changes }));

test("a chat is a run of a graph", () => {
  const { url, headers, body } = begin({ ...chat, user: "u", config: { recursion_limit: 5 } }).request;
  assert.equal(url, "http://localhost:2024/runs/wait");
  assert.equal(headers["x-api-key"], "sk-ant-test");
  assert.deepEqual(bodyObject(body), { assistant_id: "agent", input: chat, config: { recursion_limit: 5 } });
  const stream = begin(chat, { stream: true, baseUrl: "https://graph.test/runs/wait", credential: undefined }).request;
  assert.equal(stream.url, "https://graph.test/runs/stream");
  assert.deepEqual(bodyObject(stream.body).stream_mode, ["messages-tuple"]);
  assert.throws(() => begin({ ...chat, temperature: 0.5 }), /'temperature'/);
  assert.deepEqual(bodyObject(begin({ ...chat, temperature: 0.5, max_tokens: 5 }, { dropParams: true }).request.body), {
    assistant_id: "agent",
    input: chat,
  });
  assert.throws(() => begin({ messages: "x" }), /'messages'/);
});

test("the last message of the graph's is the answer", () => {
  const exchange = begin();
  const state = {
    messages: [
      { type: "human", content: "Hi" },
      { type: "ai", content: "", tool_calls: [], usage_metadata: { input_tokens: 3, output_tokens: 1 } },
      { type: "tool", content: "22" },
      { type: "ai", id: "m1", content: "Sunny", usage_metadata: { input_tokens: 5, output_tokens: 7 } },
    ],
  };
  const { id, choices, usage } = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(state))));
  assert.equal(id, "m1");
  assert.equal(Object(Array.isArray(choices) ? choices[0] : {}).message.content, "Sunny");
  assert.deepEqual(usage, { prompt_tokens: 8, completion_tokens: 8, total_tokens: 16 });
  for (const body of ["<html>", "{}", '{"messages":[{"type":"human"}]}', '{"__error__":{},"error":"no"}']) {
    assert.throws(() => begin().decodeBody(Buffer.from(body)), body);
  }
});

function run(size: () => number): Uint8Array[] {
  const exchange = begin({ ...chat, stream_options: { include_usage: true } }, { stream: true });
  const payloads = toldInPieces(exchange, fixture("../langgraph/chat.sse"), size);
  assert.equal(exchange.outcome().usage.outputTokens, 7n);
  return payloads;
}

test("a stream is told under any cut of its bytes", () => {
  const whole = run(() => 100_000);
  const deltas = payloadObjects(whole).flatMap(({ choices }) => (Array.isArray(choices) ? choices : []));
  assert.deepEqual(
    deltas.map((choice) => Object(choice).delta.content),
    ["", "Sun", "ny ☀", undefined],
  );
  const random = randomNumbers(11);
  for (let round = 0; round < 30; round += 1) {
    assert.deepEqual(texts(run(() => 1 + Math.floor(random() * 30))), texts(whole));
  }
});

test("a stream that tells nothing, or an error, is no answer; messages", () => {
  assert.throws(() => begin(chat, { stream: true }).finish(), /before the answer was complete/);
  const failing = begin(chat, { stream: true });
  const event = Buffer.from('event: error\ndata: {"error":"GraphRecursionError","message":"too deep"}\n\n');
  assert.throws(() => failing.decodeEvents([event]), /GraphRecursionError|too deep/);
  const messages = begin({ ...chat, max_tokens: 5 }, { operation: Operation.MESSAGES, stream: true });
  const told = [...messages.decodeEvents(fixtureEvents("../langgraph/chat.sse")), ...messages.finish()];
  assert.match(texts(told).join(""), /"stop_reason":"end_turn"/);
});
