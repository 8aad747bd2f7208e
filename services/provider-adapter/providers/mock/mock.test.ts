import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type CallSettings, startAdapter } from "../../testing/adapter-under-test.ts";

const adapter = startAdapter();
after(() => adapter.close());

const messages = [
  { role: "system", content: "Be kind." },
  { role: "user", content: [{ type: "text", text: "Hello, good world!" }] },
];

function call(body: object, changes: Partial<CallSettings> = {}, model = "echo") {
  return adapter.call({
    body: { model: "mock/echo", messages, ...body },
    target: { provider: "mock", model },
    ...changes,
  });
}

/** The data of the events of a stream, parsed. */
function events(payloads: readonly string[]) {
  return payloads
    .map((payload) => payload.slice(payload.indexOf("data: ") + 6))
    .filter((data) => !data.startsWith("[DONE]"))
    .map((data) => JSON.parse(data));
}

test("the last user message comes back, whole and as a stream", async () => {
  const whole = await call({});
  const completion = JSON.parse(whole.text);
  assert.equal(completion.choices[0].message.content, "Hello, good world!");
  assert.equal(completion.choices[0].finish_reason, "stop");
  assert.equal(completion.usage.total_tokens, completion.usage.prompt_tokens + 3);
  assert.equal(whole.finished?.usage?.outputTokens, 3n);
  const stream = await call({ stream_options: { include_usage: true } }, { stream: true });
  const chunks = events(stream.payloads);
  assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "Hello, good world!");
  assert.deepEqual(chunks.at(-1).usage, completion.usage);
  assert.equal(stream.payloads.at(-1), "data: [DONE]\n\n");
  assert.deepEqual(stream.lasts.slice(-1), [true]);
});

test("as many choices as were asked for", async () => {
  const whole = JSON.parse((await call({ n: 3 })).text);
  assert.deepEqual(
    whole.choices.map(({ index, message }: { index: number; message: { content: string } }) => [
      index,
      message.content,
    ]),
    [0, 1, 2].map((index) => [index, "Hello, good world!"]),
  );
  assert.equal(whole.usage.completion_tokens, 9);
  const stream = await call({ n: 2, stream_options: { include_usage: true } }, { stream: true });
  const chunks = events(stream.payloads);
  for (const wanted of [0, 1]) {
    const deltas = chunks.flatMap(({ choices: [choice] }) => (choice?.index === wanted ? [choice] : []));
    assert.equal(deltas.map(({ delta }) => delta.content ?? "").join(""), "Hello, good world!");
    assert.equal(deltas.at(-1).finish_reason, "stop");
  }
  assert.equal(chunks.at(-1).usage.completion_tokens, 6);
  const legacy = await call({ messages: undefined, prompt: "a b", n: 2 }, { operation: Operation.COMPLETIONS });
  assert.deepEqual(
    JSON.parse(legacy.text).choices.map(({ text }: { text: string }) => text),
    ["a b", "a b"],
  );
  for (const n of [0, 1, null, "x"]) assert.equal(JSON.parse((await call({ n })).text).choices.length, 1);
  const tooMany = await call({ n: 129 });
  assert.equal(tooMany.error === undefined ? undefined : findGatewayError(tooMany.error)?.param, "n");
});

test("the other dialects", async () => {
  const text = "Hello, good world!";
  const message = JSON.parse((await call({}, { operation: Operation.MESSAGES })).text);
  assert.equal(message.content[0].text, text);
  const messageStream = await call({}, { operation: Operation.MESSAGES, stream: true });
  assert.match(messageStream.payloads.at(-1) ?? "", /^event: message_stop\n/);
  const google = {
    contents: [{ parts: [{ text }] }],
    tools: [{ functionDeclarations: [{ name: "f" }] }],
    mock: { tool_calls: 1, tokens: 2 },
  };
  const generated = JSON.parse((await call(google, { operation: Operation.GENERATE_CONTENT })).text);
  assert.equal(generated.candidates[0].content.parts[1].functionCall.name, "f");
  const generating = await call({ ...google, mock: {} }, { operation: Operation.GENERATE_CONTENT, stream: true });
  const parts = events(generating.payloads).flatMap(({ candidates }) => candidates[0].content.parts);
  assert.equal(parts.map((part) => part.text).join(""), text);
  assert.equal(events(generating.payloads).at(-1).candidates[0].finishReason, "STOP");
  const response = JSON.parse(
    (await call({ messages: undefined, input: text }, { operation: Operation.RESPONSES })).text,
  );
  assert.equal(response.output[0].content[0].text, text);
  const responseStream = await call({ input: text }, { operation: Operation.RESPONSES, stream: true });
  assert.match(responseStream.payloads.at(-1) ?? "", /^event: response.completed\n/);
  const legacy = JSON.parse(
    (await call({ messages: undefined, prompt: text }, { operation: Operation.COMPLETIONS })).text,
  );
  assert.equal(legacy.choices[0].text, text);
});

test("embeddings depend on the text alone", async () => {
  const embed = async (body: object) => {
    const answer = await call({ messages: undefined, ...body }, { operation: Operation.EMBEDDINGS });
    return JSON.parse(answer.text).data.map(({ embedding }: { embedding: unknown }) => embedding);
  };
  const [first, second, third] = await embed({ input: ["a", "b", "a"], dimensions: 4 });
  assert.deepEqual(first, third);
  assert.notDeepEqual(first, second);
  assert.equal(first.length, 4);
  const [packed] = await embed({ input: "a", dimensions: 4, encoding_format: "base64" });
  assert.deepEqual([...new Float32Array(Uint8Array.from(Buffer.from(packed, "base64")).buffer)], first);
});

test("knobs stand in the body or in the model's name", async () => {
  const tokens = JSON.parse((await call({ mock: { tokens: 50 } })).text);
  assert.equal(tokens.usage.completion_tokens, 50);
  const named = JSON.parse((await call({}, {}, "load?tokens=20&latency_ms=1")).text);
  assert.equal(named.usage.completion_tokens, 20);
  const limited = JSON.parse((await call({ mock: { tokens: 50 }, max_tokens: 10 })).text);
  assert.deepEqual([limited.usage.completion_tokens, limited.choices[0].finish_reason], [10, "length"]);
  const capped = await call({ mock: { tokens: 50 } }, { target: { provider: "mock", model: "m", outputTokenCap: 5 } });
  assert.equal(capped.finished?.usage?.outputTokens, 5n);
  const begin = performance.now();
  await call({ mock: { tokens: 3, first_token_ms: 20, chunk_interval_ms: 5 } }, { stream: true });
  assert.ok(performance.now() - begin >= 35);
});

test("tool calls, made up or as told", async () => {
  const tools = [{ type: "function", function: { name: "look_up" } }];
  const made = JSON.parse((await call({ tools, mock: { tool_calls: 2 } })).text).choices[0];
  assert.deepEqual(
    made.message.tool_calls.map((tool: { function: { name: string } }) => tool.function.name),
    ["look_up", "look_up"],
  );
  assert.equal(made.finish_reason, "tool_calls");
  const told = { mock: { tool_calls: [{ name: "add", arguments: { a: 1 } }] } };
  const stream = events((await call(told, { stream: true })).payloads);
  const pieces = stream.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
  assert.equal(
    pieces.map((piece: { function: { arguments: string } }) => piece.function.arguments).join(""),
    '{"a":1}',
  );
});

test("errors, at once and in the middle of a stream", async () => {
  const error = { status: 429, message: "slow down" };
  const { error: whole } = await call({ mock: { error } });
  assert.equal(whole === undefined ? undefined : findUpstreamError(whole)?.httpStatus, 429);
  const { error: named } = await call({}, { stream: true }, "x?error=503");
  assert.equal(named === undefined ? undefined : findUpstreamError(named)?.httpStatus, 503);
  const late = await call({ mock: { error: { ...error, mid_stream_after: 2 } } }, { stream: true });
  assert.equal(late.payloads.length, 2);
  assert.equal(late.error?.rawMessage, "slow down");
});

test("a knob that is none is refused by name", async () => {
  for (const mock of [{ tokens: -1 }, { latency: 3 }, { error: { status: 200 } }]) {
    const { error } = await call({ mock });
    const detail = error === undefined ? undefined : findGatewayError(error);
    assert.equal(detail?.reason, Reason.INVALID_REQUEST);
    assert.match(detail?.param ?? "", /^mock/);
  }
});
