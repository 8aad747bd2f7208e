import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { ChatCompletionStream } from "openai/lib/ChatCompletionStream";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { objectOf, objectsOf } from "../../translate/json-reading.ts";
import {
  bodyObject,
  fixture,
  fixtureEvents,
  namedEvents,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { anthropic } from "./anthropic.ts";

const question: JsonObject = { messages: [{ role: "user", content: "Weather and time?" }] };

function begin(body: JsonObject = question, changes: Partial<ProviderCall> = {}) {
  return anthropic.begin(providerCall(body, changes));
}

function stream(events: readonly Uint8Array[], body: JsonObject = question): Uint8Array[] {
  const exchange = begin(body, { stream: true });
  return [...exchange.decodeEvents(events), ...exchange.finish()];
}

function upstreamErrorOf(run: () => unknown) {
  try {
    run();
  } catch (error) {
    return error instanceof ConnectError ? findUpstreamError(error) : undefined;
  }
  return undefined;
}

test("an answer becomes a chat completion", () => {
  const exchange = begin();
  const completion = bodyObject(exchange.decodeBody(fixture("answer.json")));
  deepStrictEqual(completion, {
    id: "msg_01",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "claude-sonnet-4-5-20250929",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: "I'll look both up.",
          refusal: null,
          reasoning_content: "The user wants two cities.",
          thinking_blocks: [{ type: "thinking", thinking: "The user wants two cities.", signature: "c2lnbmF0dXJl" }],
          tool_calls: [
            { id: "toolu_01", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } },
            { id: "toolu_02", type: "function", function: { name: "get_time", arguments: "{}" } },
          ],
        },
        finish_reason: "tool_calls",
        logprobs: null,
      },
    ],
    usage: {
      prompt_tokens: 1320,
      completion_tokens: 90,
      total_tokens: 1410,
      prompt_tokens_details: { cached_tokens: 1000, cache_creation_tokens: 300 },
      cache_creation_input_tokens: 300,
      cache_read_input_tokens: 1000,
      completion_tokens_details: { reasoning_tokens: 30 },
    },
    service_tier: "default",
  });
  const { usage, finishReason, responseId, responseModel } = exchange.outcome();
  deepStrictEqual(
    [usage.inputTokens, usage.outputTokens, usage.cacheReadTokens, usage.cacheWriteTokens, usage.cacheWrite1hTokens],
    [20n, 90n, 1000n, 100n, 200n],
  );
  deepStrictEqual([usage.reasoningTokens, usage.estimated], [30n, false]);
  deepStrictEqual([finishReason, responseId, responseModel], ["tool_calls", "msg_01", "claude-sonnet-4-5-20250929"]);
});

test("OpenAI's own client gathers the stream to the same answer", async () => {
  const whole = bodyObject(begin().decodeBody(fixture("answer.json")));
  const lines = payloadObjects(stream(fixtureEvents("answer.chunks.txt"))).map((chunk) => `${JSON.stringify(chunk)}\n`);
  const body = new ReadableStream({
    start(controller) {
      for (const line of lines) controller.enqueue(Buffer.from(line));
      controller.close();
    },
  });
  const final = await ChatCompletionStream.fromReadableStream(body).finalChatCompletion();
  const expected = objectOf(objectOf(objectsOf(whole.choices)[0]).message);
  const message = final.choices[0]?.message;
  strictEqual(message?.content, expected.content);
  deepStrictEqual(
    message?.tool_calls?.map((call) =>
      call.type === "function" ? [call.id, JSON.parse(call.function.arguments)] : [],
    ),
    [
      ["toolu_01", { city: "Paris" }],
      ["toolu_02", {}],
    ],
  );
  strictEqual(final.choices[0]?.finish_reason, "tool_calls");
});

test("a stream's payloads: role first, dense tool indexes, thinking blocks whole, one finish, [DONE] last", () => {
  const payloads = stream(fixtureEvents("answer.chunks.txt"));
  const deltas = payloadObjects(payloads).map((chunk) => objectOf(objectOf(objectsOf(chunk.choices)[0]).delta));
  deepStrictEqual(deltas, [
    { role: "assistant", content: "" },
    { reasoning_content: "The user wants " },
    { reasoning_content: "two cities." },
    { thinking_blocks: [{ type: "thinking", thinking: "The user wants two cities.", signature: "c2lnbmF0dXJl" }] },
    { content: "I'll look" },
    { content: " both up." },
    { tool_calls: [{ index: 0, id: "toolu_01", type: "function", function: { name: "get_weather", arguments: "" } }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"city": "Pa' } }] },
    { tool_calls: [{ index: 0, function: { arguments: 'ris"}' } }] },
    { tool_calls: [{ index: 1, id: "toolu_02", type: "function", function: { name: "get_time", arguments: "" } }] },
    { tool_calls: [{ index: 1, function: { arguments: "{}" } }] },
    {},
  ]);
  strictEqual(texts(payloads).at(-1), "data: [DONE]\n\n");
  ok(payloadObjects(payloads).every((chunk) => chunk.usage === undefined));
});

test("the usage chunk comes where it was asked for", () => {
  const asked = { ...question, stream_options: { include_usage: true } };
  const chunks = payloadObjects(stream(fixtureEvents("answer.chunks.txt"), asked));
  const last = chunks.pop();
  deepStrictEqual(last?.choices, []);
  strictEqual(objectOf(last?.usage).total_tokens, 1410);
  ok(chunks.every((chunk) => chunk.usage === null));
});

test("payloads do not depend on how events are grouped", () => {
  const events = fixtureEvents("answer.chunks.txt");
  const expected = texts(stream(events));
  const random = randomNumbers(7);
  for (let round = 0; round < 50; round++) {
    const exchange = begin(question, { stream: true });
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < events.length; ) {
      const size = Math.floor(random() * 5);
      payloads.push(...exchange.decodeEvents(events.slice(at, at + size)));
      at += size;
    }
    deepStrictEqual(texts([...payloads, ...exchange.finish()]), expected);
  }
});

test("nothing is sent before content, so that an early failure can be retried", () => {
  const events = fixtureEvents("answer.chunks.txt");
  const exchange = begin(question, { stream: true });
  deepStrictEqual(exchange.decodeEvents(events.slice(0, 2)), []);
  const overloaded = namedEvents({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
  const error = upstreamErrorOf(() => exchange.decodeEvents(overloaded));
  deepStrictEqual(
    [error?.kind, error?.httpStatus, error?.retryable, error?.type],
    [UpstreamErrorKind.UNAVAILABLE, 529, true, "overloaded_error"],
  );
});

test("a broken stream fails and never ends cleanly", () => {
  const events = fixtureEvents("answer.chunks.txt");
  for (const cut of [0, 1, 5, events.length - 1]) {
    const exchange = begin(question, { stream: true });
    exchange.decodeEvents(events.slice(0, cut));
    strictEqual(upstreamErrorOf(() => exchange.finish())?.kind, UpstreamErrorKind.BAD_GATEWAY, `cut at ${cut}`);
  }
  const broken = [Buffer.from('event: ping\ndata: {"type":\n\n')];
  strictEqual(upstreamErrorOf(() => begin(question, { stream: true }).decodeEvents(broken))?.httpStatus, 502);
  for (const body of ["", "<html>", "[]", "{}", '{"content":1}']) {
    strictEqual(upstreamErrorOf(() => begin().decodeBody(Buffer.from(body)))?.httpStatus, 502, body);
  }
  const failed = '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}';
  strictEqual(upstreamErrorOf(() => begin().decodeBody(Buffer.from(failed)))?.httpStatus, 429);
});

test("an aborted stream is charged by an estimate of its output", () => {
  const exchange = begin(question, { stream: true });
  exchange.decodeEvents(fixtureEvents("answer.chunks.txt").slice(0, 11));
  const { usage } = exchange.outcome();
  deepStrictEqual([usage.estimated, usage.inputTokens, usage.cacheReadTokens], [true, 20n, 1000n]);
  ok(usage.outputTokens > 5n && usage.outputTokens < 60n, String(usage.outputTokens));
});

test("what a chat message cannot hold comes back to Anthropic unchanged", () => {
  const answer = bodyObject(fixture("search.json"));
  const completion = bodyObject(begin().decodeBody(fixture("search.json")));
  const message = objectOf(objectOf(objectsOf(completion.choices)[0]).message);
  strictEqual(message.content, "It was in 1969.");
  deepStrictEqual(message.annotations, [
    {
      type: "url_citation",
      url_citation: { url: "https://example.com/moon", title: "Moon", start_index: 7, end_index: 14 },
    },
  ]);
  const next = (sent: JsonObject) =>
    bodyObject(
      begin({ messages: [{ role: "user", content: "?" }, sent, { role: "user", content: "Sure?" }] }).request.body,
    );
  deepStrictEqual(objectsOf(next(message).messages)[1]?.content, answer.content);
  deepStrictEqual(objectsOf(next({ ...message, content: "Edited." }).messages)[1]?.content, "Edited.");
});

test("streamed baggage equals that of the whole answer", () => {
  const answer = bodyObject(fixture("search.json"));
  const events: JsonObject[] = [{ type: "message_start", message: { ...answer, content: [] } }];
  for (const [index, block] of objectsOf(answer.content).entries()) {
    events.push({ type: "content_block_start", index, content_block: block }, { type: "content_block_stop", index });
  }
  events.push({ type: "message_delta", delta: { stop_reason: "end_turn" } }, { type: "message_stop" });
  const chunks = payloadObjects(stream(namedEvents(...events)));
  const last = objectOf(objectOf(objectsOf(chunks.at(-1)?.choices)[0]).delta);
  deepStrictEqual(objectOf(last.provider_specific_fields).content_blocks, answer.content);
});

test("the legacy functions are answered in their own words", () => {
  const legacy = { ...question, functions: [{ name: "get_weather", parameters: { type: "object", properties: {} } }] };
  const completion = bodyObject(begin(legacy).decodeBody(fixture("answer.json")));
  const choice = objectOf(objectsOf(completion.choices)[0]);
  deepStrictEqual(objectOf(choice.message).function_call, { name: "get_weather", arguments: '{"city":"Paris"}' });
  strictEqual(choice.finish_reason, "function_call");
  const calls = payloadObjects(stream(fixtureEvents("answer.chunks.txt"), legacy))
    .map((chunk) => objectOf(objectOf(objectsOf(chunk.choices)[0]).delta).function_call)
    .filter((call) => call !== undefined);
  strictEqual(calls.map((call) => String(objectOf(call).arguments)).join(""), '{"city": "Paris"}');
});

test("the arguments of the stand-in JSON tool are the content", () => {
  const json = { ...question, response_format: { type: "json_object" } };
  const block = { type: "tool_use", id: "toolu_09", name: "json_tool_call", input: { ok: true } };
  const answer = { type: "message", content: [block], stop_reason: "tool_use", usage: {} };
  const choice = objectOf(
    objectsOf(bodyObject(begin(json).decodeBody(Buffer.from(JSON.stringify(answer)))).choices)[0],
  );
  deepStrictEqual([objectOf(choice.message).content, choice.finish_reason], ['{"ok":true}', "stop"]);
  const events = namedEvents(
    { type: "message_start", message: { id: "m", model: "c", usage: {} } },
    { type: "content_block_start", index: 0, content_block: { ...block, input: {} } },
    { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: '{"ok":' } },
    { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: "true}" } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 3 } },
    { type: "message_stop" },
  );
  const chunks = payloadObjects(stream(events, json)).map((chunk) => objectOf(objectsOf(chunk.choices)[0]));
  strictEqual(chunks.map((chunk) => objectOf(chunk.delta).content ?? "").join(""), '{"ok":true}');
  strictEqual(chunks.at(-1)?.finish_reason, "stop");
});

test("the request: address, credential, version and betas", () => {
  const cases: readonly [Partial<ProviderCall>, string, Record<string, string>][] = [
    [{}, "https://api.anthropic.com/v1/messages", { "anthropic-version": "2023-06-01" }],
    [{ baseUrl: "http://h/v1" }, "http://h/v1/messages", {}],
    [{ baseUrl: "http://h/x" }, "http://h/x/v1/messages", {}],
    [{ baseUrl: "http://h/v1/messages" }, "http://h/v1/messages", {}],
    [
      { credential: new Secret("sk-ant-api03-x") },
      "https://api.anthropic.com/v1/messages",
      { "x-api-key": "sk-ant-api03-x" },
    ],
    [
      { credential: new Secret("sk-ant-oat01-x"), headers: { "anthropic-beta": "a, b", "openai-beta": "c" } },
      "https://api.anthropic.com/v1/messages",
      { authorization: "Bearer sk-ant-oat01-x", "anthropic-beta": "a,b,oauth-2025-04-20" },
    ],
    [
      { headers: { "anthropic-version": "2099-01-01" } },
      "https://api.anthropic.com/v1/messages",
      { "anthropic-version": "2099-01-01" },
    ],
  ];
  for (const [changes, url, headers] of cases) {
    const { request } = begin(question, changes);
    strictEqual(request.url, url);
    for (const [name, value] of Object.entries(headers)) strictEqual(request.headers[name], value);
    strictEqual(request.headers["openai-beta"], undefined);
  }
});

test("without a key Anthropic's own address is not called", () => {
  const error = upstreamErrorOf(() => begin(question, { credential: undefined }));
  deepStrictEqual([error?.httpStatus, error?.retryable], [401, false]);
  strictEqual(begin(question, { credential: undefined, baseUrl: "http://h" }).request.headers["x-api-key"], undefined);
});

test("other operations are refused by name, and so is a body that is no object", () => {
  const reasonOf = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return error instanceof ConnectError ? findGatewayError(error)?.reason : undefined;
    }
    return undefined;
  };
  strictEqual(
    reasonOf(() => begin(question, { operation: Operation.EMBEDDINGS })),
    Reason.OPERATION_UNSUPPORTED,
  );
  strictEqual(
    reasonOf(() => begin(question, { body: Buffer.from("[1") })),
    Reason.INVALID_REQUEST,
  );
  throws(() => begin(question, { operation: Operation.MESSAGES, body: Buffer.from("[1]") }), ConnectError);
});
