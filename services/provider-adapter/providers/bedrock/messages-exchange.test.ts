import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange } from "../../provider.ts";
import { bedrockFixture, fixtureFrames } from "../../testing/event-stream-frames.ts";
import { objectOf, objectsOf } from "../../translate/json-reading.ts";
import { bodyObject, payloadObjects, providerCall, texts } from "../../translate/testing/provider-call.ts";
import { bedrock } from "./bedrock.ts";

const model = "converse/us.anthropic.claude-sonnet-4-20250514-v1:0";

function begin(stream: boolean): Exchange {
  const body = { model: "group", max_tokens: 10, messages: [{ role: "user", content: "Hello" }] };
  return bedrock.begin(providerCall(body, { operation: Operation.MESSAGES, model, stream, callId: "call-1" }));
}

test("a whole answer", () => {
  const exchange = begin(false);
  const message = bodyObject(exchange.decodeBody(bedrockFixture("chat.json")));
  deepStrictEqual([message.id, message.stop_reason, message.stop_sequence], ["msg_call-1", "tool_use", null]);
  deepStrictEqual(message.content, [
    { type: "thinking", thinking: "Two cities.", signature: "c2lnbmF0dXJl" },
    { type: "redacted_thinking", data: "cmVkYWN0ZWQ=" },
    { type: "text", text: "Let me look." },
    { type: "tool_use", id: "tooluse_1", name: "get_weather", input: { city: "Paris" } },
    { type: "tool_use", id: "tooluse_2", name: "get_weather", input: { city: "Rome" } },
  ]);
  strictEqual(objectOf(message.usage).cache_read_input_tokens, 100);
  strictEqual(exchange.outcome().usage.outputTokens, 30n);
});

test("betas that Converse takes stand in the body of a Claude model", () => {
  const headers = { "anthropic-beta": "claude-code-20250219, interleaved-thinking-2025-05-14" };
  const computer = { type: "computer_20250124", name: "computer" };
  const body = { max_tokens: 10, messages: [{ role: "user", content: "Hello" }], tools: [computer] };
  const call = providerCall(body, { operation: Operation.MESSAGES, model, headers });
  const { additionalModelRequestFields } = bodyObject(bedrock.begin(call).request.body);
  const betas = ["interleaved-thinking-2025-05-14", "computer-use-2025-01-24"];
  deepStrictEqual(additionalModelRequestFields, { tools: [computer], anthropic_beta: betas });
  const nova = providerCall(
    { ...body, tools: [] },
    { operation: Operation.MESSAGES, model: "amazon.nova-lite-v1:0", headers },
  );
  strictEqual(bodyObject(bedrock.begin(nova).request.body).additionalModelRequestFields, undefined);
});

test("a stream in Anthropic's order", () => {
  const exchange = begin(true);
  const frames = fixtureFrames();
  // Nothing is told before the first block, so that a failure can still be retried.
  deepStrictEqual(exchange.decodeEvents(frames.slice(0, 1)), []);
  const payloads = exchange.decodeEvents(frames.slice(1));
  const closing = exchange.finish();
  deepStrictEqual(
    texts(closing).map((text) => text.split("\n", 1)[0]),
    ["event: message_delta", "event: message_stop"],
  );
  const events = payloadObjects([...payloads, ...closing]);
  strictEqual(events[0]?.type, "message_start");
  const starts = events.filter(({ type }) => type === "content_block_start");
  deepStrictEqual(
    starts.map(({ index, content_block: block }) => [index, objectOf(block).type]),
    [
      [0, "thinking"],
      [1, "redacted_thinking"],
      [2, "text"],
      [3, "tool_use"],
      [4, "tool_use"],
    ],
  );
  strictEqual(events.filter(({ type }) => type === "content_block_stop").length, 5);
  const [ending] = events.filter(({ type }) => type === "message_delta");
  deepStrictEqual(ending?.delta, { stop_reason: "tool_use", stop_sequence: null });
  strictEqual(objectOf(ending?.usage).output_tokens, 30);
  const signatures = events.map((event) => objectOf(event.delta)).filter(({ type }) => type === "signature_delta");
  deepStrictEqual(signatures, [{ type: "signature_delta", signature: "c2lnbmF0dXJl" }]);
  strictEqual(objectsOf(events.map((event) => event.delta ?? null)).length > 5, true);
});
