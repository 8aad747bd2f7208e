import assert from "node:assert/strict";
import { test } from "node:test";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { NdjsonSplitter } from "../../ndjson.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixture,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { ollamaChat } from "./ollama-chat.ts";

const user = { role: "user", content: "Hi" };
const weather = { type: "function", function: { name: "get_weather", parameters: { type: "object" } } };

function call(body: JsonObject, changes: Partial<ProviderCall> = {}): ProviderCall {
  const given = { model: "qwen3:4b", credential: undefined, callId: "a-b", ...changes };
  return providerCall({ model: "group", messages: [user], ...body }, given);
}

const sent = (body: JsonObject, changes: Partial<ProviderCall> = {}) =>
  bodyObject(ollamaChat.begin(call(body, changes)).request.body);

test("a request goes to the server's native path, with a key where there is one", () => {
  const { url, headers } = ollamaChat.begin(call({})).request;
  assert.deepEqual([url, headers.authorization], ["http://localhost:11434/api/chat", undefined]);
  for (const baseUrl of ["http://h:1", "http://h:1/v1", "http://h:1/api", "http://h:1/api/chat"]) {
    assert.equal(ollamaChat.begin(call({}, { baseUrl })).request.url, "http://h:1/api/chat");
  }
  const { credential } = providerCall({});
  assert.equal(ollamaChat.begin(call({}, { credential })).request.headers.authorization, "Bearer sk-ant-test");
});

const parameters: readonly [given: JsonObject, expected: JsonObject, model?: string][] = [
  [{}, { options: {} }],
  [
    { temperature: 0.5, seed: 1, top_p: 0.9, stop: "a" },
    { options: { temperature: 0.5, seed: 1, top_p: 0.9, stop: ["a"] } },
  ],
  [{ max_tokens: 5, num_ctx: 4096, options: { top_k: 3 } }, { options: { top_k: 3, num_ctx: 4096, num_predict: 5 } }],
  [
    { keep_alive: "5m", think: true, user: "u", n: 1 },
    { options: {}, keep_alive: "5m", think: true },
  ],
  [{ reasoning_effort: "none" }, { options: {}, think: false }],
  [{ reasoning_effort: "medium" }, { options: {}, think: true }],
  [{ reasoning_effort: "minimal" }, { options: {}, think: "low" }, "gpt-oss:20b"],
  [{ response_format: { type: "json_object" } }, { options: {}, format: "json" }],
  [
    { response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } } },
    { options: {}, format: { type: "object" } },
  ],
  [
    { tools: [weather], tool_choice: "auto" },
    { options: {}, tools: [weather] },
  ],
  [{ tools: [weather], tool_choice: "none" }, { options: {} }],
];

test("every parameter has its counterpart", () => {
  for (const [given, expected, model = "qwen3:4b"] of parameters) {
    assert.deepEqual(sent(given, { model }), { model, messages: [user], stream: false, ...expected });
  }
});

test("a budget lowers the limit, whoever set it", () => {
  const limit = (body: JsonObject, cap: number) => sent(body, { outputTokenCap: cap }).options;
  assert.deepEqual(limit({}, 9), { num_predict: 9 });
  assert.deepEqual(limit({ max_tokens: 50 }, 9), { num_predict: 9 });
  assert.deepEqual(limit({ options: { num_predict: -1 } }, 9), { num_predict: 9 });
  assert.deepEqual(limit({ max_completion_tokens: 5 }, 9), { num_predict: 5 });
});

test("what Ollama cannot do is refused by name, dropped or passed on as the caller says", () => {
  const image = { type: "image_url", image_url: { url: "https://x.example/a.png" } };
  const cases: readonly JsonObject[] = [
    { n: 2 },
    { tool_choice: "required" },
    { logprobs: true },
    { reasoning_effort: "odd" },
    { messages: [{ role: "user", content: [image] }] },
    { messages: [{ role: "user", content: [{ type: "input_audio" }] }] },
  ];
  for (const body of cases) {
    assert.throws(() => sent(body), /drop_params/, JSON.stringify(body));
    assert.equal(sent(body, { dropParams: true }).model, "qwen3:4b");
  }
  assert.deepEqual(sent({ n: 2 }, { allowedParams: ["n"] }).options, { n: 2 });
  assert.throws(() => ollamaChat.begin({ ...call({}), operation: Operation.EMBEDDINGS }), /ollama has/);
});

test("messages carry images, thinking, and tools by their names", () => {
  const messages: JsonObject[] = [
    { role: "developer", content: "Be." },
    {
      role: "user",
      content: [
        { type: "text", text: "a" },
        { type: "image_url", image_url: { url: "data:image/png;base64,QUJD" } },
        { type: "text", text: "b" },
      ],
    },
    {
      role: "assistant",
      content: null,
      reasoning_content: "Hm.",
      tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } }],
    },
    { role: "tool", tool_call_id: "call_1", content: "Sun" },
  ];
  assert.deepEqual(sent({ messages }).messages, [
    { role: "system", content: "Be." },
    { role: "user", content: "a\nb", images: ["QUJD"] },
    {
      role: "assistant",
      content: "",
      thinking: "Hm.",
      tool_calls: [{ type: "function", function: { name: "get_weather", arguments: { city: "Rome" } } }],
    },
    { role: "tool", content: "Sun", tool_name: "get_weather" },
  ]);
});

test("a whole answer becomes a chat completion", () => {
  const answer = {
    model: "qwen3:4b",
    message: { role: "assistant", content: "Sunny", thinking: "Hm." },
    done: true,
    done_reason: "length",
    prompt_eval_count: 3,
    eval_count: 2,
  };
  const exchange = ollamaChat.begin(call({}));
  assert.deepEqual(bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer)))), {
    object: "chat.completion",
    id: "chatcmpl-ab",
    created: 1_700_000_000,
    model: "qwen3:4b",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Sunny", reasoning_content: "Hm.", refusal: null },
        finish_reason: "length",
        logprobs: null,
      },
    ],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  });
  const { usage, finishReason } = exchange.outcome();
  assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.estimated, finishReason], [3n, 2n, false, "length"]);
});

const lines = new NdjsonSplitter().push(fixture("../ollama_chat/tools.ndjson"));
const streamedCall = call({ stream_options: { include_usage: true } }, { stream: true });

test("a stream is told in any grouping of its lines", () => {
  const random = randomNumbers(5);
  const run = (size: () => number) => {
    const exchange = ollamaChat.begin(streamedCall);
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < lines.length; ) {
      const next = at + size();
      payloads.push(...exchange.decodeEvents(lines.slice(at, next)));
      at = next;
    }
    assert.equal(exchange.progress, "closed");
    payloads.push(...exchange.finish());
    return texts(payloads).join("");
  };
  const expected = run(() => 1);
  for (let round = 0; round < 20; round += 1)
    assert.equal(
      run(() => 1 + Math.floor(random() * 4)),
      expected,
    );
});

test("a stream tells thinking, text, whole tool calls, the end and usage", () => {
  const exchange = ollamaChat.begin(streamedCall);
  const chunks = payloadObjects([...exchange.decodeEvents(lines), ...exchange.finish()]);
  const choices = chunks.flatMap((chunk) => (Array.isArray(chunk.choices) ? chunk.choices : []));
  const time = { index: 1, id: "call_ab_1", type: "function", function: { name: "get_time", arguments: "{}" } };
  const named = { name: "get_weather", arguments: '{"city":"Rome"}' };
  assert.deepEqual(
    choices.map((choice) => Object(choice).delta),
    [
      { role: "assistant", content: "" },
      { reasoning_content: "Hm" },
      { reasoning_content: "." },
      { content: "I look ☀" },
      { tool_calls: [{ index: 0, id: "call_1", type: "function", function: named }] },
      { tool_calls: [time] },
      {},
    ],
  );
  assert.equal(Object(choices.at(-1)).finish_reason, "tool_calls");
  assert.deepEqual(chunks.at(-1)?.usage, { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 });
});

test("a Messages client gets thinking, text and tools", () => {
  const exchange = ollamaChat.begin(call({ max_tokens: 9 }, { operation: Operation.MESSAGES, stream: true }));
  assert.equal(exchange.framing, "ndjson");
  const events = payloadObjects([...exchange.decodeEvents(lines), ...exchange.finish()]);
  const starts = events.filter(({ type }) => type === "content_block_start");
  assert.deepEqual(
    starts.map(({ content_block }) => Object(content_block).type),
    ["thinking", "text", "tool_use", "tool_use"],
  );
});

test("an answer that is none, or is cut, is an error", () => {
  const whole = (body: string) => ollamaChat.begin(call({})).decodeBody(Buffer.from(body));
  assert.throws(() => whole("<html>"), /no JSON object/);
  assert.throws(() => whole("{}"), /no message/);
  assert.throws(() => whole('{"error":"out of memory"}'), /out of memory/);
  const exchange = ollamaChat.begin(streamedCall);
  exchange.decodeEvents(lines.slice(0, 3));
  assert.throws(() => exchange.finish(), /ended before/);
  assert.deepEqual([exchange.outcome().usage.outputTokens, exchange.outcome().usage.estimated], [3n, true]);
  assert.throws(() => exchange.decodeEvents([Buffer.from('{"error":"crashed"}')]), /crashed/);
  const error = ollamaChat.classifyError(404, {}, Buffer.from(`{"error":"model 'x' not found"}`));
  assert.deepEqual(
    [error.kind, error.message, error.provider],
    [UpstreamErrorKind.NOT_FOUND, "model 'x' not found", "ollama_chat"],
  );
});
