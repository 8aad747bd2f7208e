import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { bedrockFixture, converseEvent, converseException, fixtureFrames } from "../../testing/event-stream-frames.ts";
import { objectOf, objectsOf } from "../../translate/json-reading.ts";
import {
  bodyObject,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { bedrock } from "./bedrock.ts";

const model = "us.anthropic.claude-sonnet-4-20250514-v1:0";

function begin(changes: Partial<ProviderCall> = {}, body: JsonObject = {}): Exchange {
  const chat = { messages: [{ role: "user", content: "Hello" }], stream_options: { include_usage: true }, ...body };
  return bedrock.begin(providerCall(chat, { model, callId: "call-1", ...changes }));
}

const calls = [
  { id: "tooluse_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } },
  { id: "tooluse_2", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } },
];
const thinking = [
  { type: "thinking", thinking: "Two cities.", signature: "c2lnbmF0dXJl" },
  { type: "redacted_thinking", data: "cmVkYWN0ZWQ=" },
];

test("a whole answer", () => {
  const exchange = begin();
  const completion = bodyObject(exchange.decodeBody(bedrockFixture("chat.json")));
  strictEqual(completion.id, "chatcmpl-call-1");
  strictEqual(completion.model, model);
  const [choice] = objectsOf(completion.choices);
  strictEqual(choice?.finish_reason, "tool_calls");
  deepStrictEqual(choice?.message, {
    role: "assistant",
    content: "Let me look.",
    refusal: null,
    reasoning_content: "Two cities.",
    thinking_blocks: thinking,
    tool_calls: calls,
  });
  const usage = objectOf(completion.usage);
  deepStrictEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [127, 30, 157]);
  const counted = exchange.outcome().usage;
  deepStrictEqual([counted.inputTokens, counted.cacheReadTokens], [20n, 100n]);
  deepStrictEqual([counted.cacheWriteTokens, counted.cacheWrite1hTokens, counted.outputTokens], [2n, 5n, 30n]);
  deepStrictEqual(exchange.outcome().finishReason, "tool_calls");
});

function streamed(groups: readonly (readonly Uint8Array[])[]): string[] {
  const exchange = begin({ stream: true });
  const payloads = groups.flatMap((group) => exchange.decodeEvents(group));
  return texts([...payloads, ...exchange.finish()]);
}

test("a stream", () => {
  const exchange = begin({ stream: true });
  strictEqual(exchange.framing, "aws-eventstream");
  const frames = fixtureFrames();
  const payloads = exchange.decodeEvents(frames.slice(0, -1));
  strictEqual(exchange.progress, "closing");
  deepStrictEqual(exchange.decodeEvents(frames.slice(-1)), []);
  strictEqual(exchange.progress, "closed");
  const closing = exchange.finish();
  strictEqual(texts(closing).at(-1), "data: [DONE]\n\n");
  const chunks = payloadObjects([...payloads, ...closing]);
  const deltas = chunks.map((chunk) => objectOf(objectsOf(chunk.choices)[0]?.delta));
  const joined = (member: string) => deltas.map((delta) => delta[member] ?? "").join("");
  strictEqual(joined("content"), "Let me look – é.");
  strictEqual(joined("reasoning_content"), "Two cities.");
  deepStrictEqual(
    deltas.flatMap((delta) => objectsOf(delta.thinking_blocks)),
    thinking,
  );
  const toolCalls = deltas.flatMap((delta) => objectsOf(delta.tool_calls));
  deepStrictEqual(
    toolCalls.map(({ index, id, function: named }) => [index, id, objectOf(named).name, objectOf(named).arguments]),
    [
      [0, "tooluse_1", "get_weather", ""],
      [0, undefined, undefined, '{"city":'],
      [0, undefined, undefined, '"Paris"}'],
      [1, "tooluse_2", "now", ""],
      [1, undefined, undefined, "{}"],
    ],
  );
  deepStrictEqual(
    chunks.flatMap((chunk) => objectsOf(chunk.choices)).filter((choice) => choice.finish_reason).length,
    1,
  );
  strictEqual(objectOf(chunks.at(-1)?.usage).prompt_tokens, 127);
  strictEqual(exchange.outcome().usage.outputTokens, 30n);
  strictEqual(exchange.outcome().usage.estimated, false);
});

test("the payloads are the same however the events are grouped", () => {
  const frames = fixtureFrames();
  const expected = streamed([frames]);
  deepStrictEqual(streamed(frames.map((frame) => [frame])), expected);
  const random = randomNumbers(3);
  for (let round = 0; round < 100; round += 1) {
    const groups: Uint8Array[][] = [[]];
    for (const frame of frames) {
      if (random() < 0.4) groups.push([]);
      groups.at(-1)?.push(frame);
    }
    deepStrictEqual(streamed(groups), expected);
  }
});

function failure(act: () => unknown) {
  try {
    act();
  } catch (error) {
    ok(error instanceof ConnectError);
    const detail = findUpstreamError(error);
    ok(detail !== undefined);
    return detail;
  }
  throw new Error("nothing was thrown");
}

test("exceptions, and what the protocol does not allow", () => {
  const [start, delta] = fixtureFrames();
  const frames = [start ?? Buffer.alloc(0), delta ?? Buffer.alloc(0)];
  const cases: readonly [string, number, boolean][] = [
    ["throttlingException", 429, true],
    ["validationException", 400, false],
    ["modelStreamErrorException", 424, true],
    ["internalServerException", 500, true],
    ["serviceUnavailableException", 503, true],
    ["newException", 500, true],
  ];
  for (const [exception, status, retryable] of cases) {
    const error = failure(() => begin({ stream: true }).decodeEvents([...frames, converseException(exception, "Oh")]));
    deepStrictEqual(
      [error.httpStatus, error.retryable, error.message, error.code],
      [status, retryable, "Oh", exception],
    );
  }
  const broken: readonly [string, () => unknown][] = [
    ["no end", () => streamed([frames])],
    ["not JSON", () => begin().decodeBody(Buffer.from("<html>"))],
    ["no message", () => begin().decodeBody(Buffer.from('{"output":{}}'))],
    ["an error as an answer", () => begin().decodeBody(Buffer.from('{"__type":"X","message":"Oh"}'))],
    [
      "input without a call",
      () =>
        streamed([[converseEvent("contentBlockDelta", { contentBlockIndex: 0, delta: { toolUse: { input: "{" } } })]]),
    ],
  ];
  for (const [name, act] of broken) {
    const error = failure(act);
    strictEqual(error.retryable, true, name);
    ok(error.httpStatus >= 500, name);
  }
});

test("a stream that is aborted, or whose usage never comes, is estimated", () => {
  const exchange = begin({ stream: true });
  const text = converseEvent("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "x".repeat(400) } });
  exchange.decodeEvents([text]);
  strictEqual(exchange.outcome().usage.estimated, true);
  ok(exchange.outcome().usage.outputTokens > 90n);
  exchange.decodeEvents([converseEvent("messageStop", { stopReason: "end_turn" })]);
  exchange.finish();
  strictEqual(exchange.outcome().usage.estimated, true);
  strictEqual(exchange.outcome().finishReason, "stop");
});

test("finish reasons", () => {
  const cases = {
    stop_sequence: "stop",
    max_tokens: "length",
    guardrail_intervened: "content_filter",
    new_reason: "stop",
  };
  for (const [stopReason, expected] of Object.entries(cases)) {
    const answer = { output: { message: { role: "assistant", content: [{ text: "Hi" }] } }, stopReason, usage: {} };
    const completion = bodyObject(begin().decodeBody(Buffer.from(JSON.stringify(answer))));
    strictEqual(objectsOf(completion.choices)[0]?.finish_reason, expected);
  }
});

test("citations and tools that Bedrock runs travel along", () => {
  const web = { location: { web: { url: "https://h/a", domain: "h" } } };
  const content = [
    { toolUse: { toolUseId: "t", name: "nova_grounding", input: {}, type: "server_tool_use" } },
    { toolResult: { toolUseId: "t", content: [{ text: "r" }], status: "success", type: "nova_grounding_result" } },
    { citationsContent: { content: [{ text: "Ruby 3" }], citations: [web] } },
  ];
  const answer = { output: { message: { role: "assistant", content } }, stopReason: "end_turn", usage: {} };
  const completion = bodyObject(begin().decodeBody(Buffer.from(JSON.stringify(answer))));
  const message = objectOf(objectsOf(completion.choices)[0]?.message);
  strictEqual(message.content, "Ruby 3");
  strictEqual(message.tool_calls, undefined);
  deepStrictEqual(
    objectsOf(message.annotations).map((own) => objectOf(own.url_citation).url),
    ["https://h/a"],
  );

  // Sent back, the blocks are Bedrock's again.
  const next = begin({}, { messages: [{ role: "user", content: "?" }, message, { role: "user", content: "And?" }] });
  const [, again] = objectsOf(bodyObject(next.request.body).messages);
  deepStrictEqual(again?.content, [content[0], content[1], { text: "Ruby 3" }]);
});

test("the JSON answer of a stand-in tool is the content", () => {
  const nova = begin({ model: "amazon.nova-lite-v1:0" }, { response_format: { type: "json_object" } });
  const content = [{ toolUse: { toolUseId: "t", name: "json_tool_call", input: { a: 1 } } }];
  const answer = { output: { message: { role: "assistant", content } }, stopReason: "tool_use", usage: {} };
  const [choice] = objectsOf(bodyObject(nova.decodeBody(Buffer.from(JSON.stringify(answer)))).choices);
  deepStrictEqual([objectOf(choice?.message).content, choice?.finish_reason], ['{"a":1}', "stop"]);
});

test("a body that is no object is refused", () => {
  throws(() => bedrock.begin(providerCall({}, { model, body: Buffer.from("[]") })), /JSON object/);
  match(begin().request.url, /\/converse$/);
  match(begin({ stream: true }).request.url, /\/converse-stream$/);
});
