import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
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
import { cohere } from "./cohere.ts";

const user = { role: "user", content: "Hi" };
const weather = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } };
const time = { type: "function", function: { name: "get_time", strict: true } };
const plainTime = { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } };

function call(body: JsonObject, changes: Partial<ProviderCall> = {}): ProviderCall {
  return providerCall({ model: "group", messages: [user], ...body }, { model: "command-a", ...changes });
}

const sent = (body: JsonObject, changes: Partial<ProviderCall> = {}) =>
  bodyObject(cohere.begin(call(body, changes)).request.body);

test("a request goes to version 2 with a bearer token", () => {
  const { url, headers } = cohere.begin(call({}, { headers: { "x-client-name": "one" } })).request;
  assert.equal(url, "https://api.cohere.com/v2/chat");
  assert.deepEqual([headers.authorization, headers["x-client-name"]], ["Bearer sk-ant-test", "one"]);
  for (const baseUrl of [
    "https://h.example",
    "https://h.example/v1/chat",
    "https://h.example/v2",
    "https://h.example/chat",
  ]) {
    assert.equal(cohere.begin(call({}, { baseUrl })).request.url, "https://h.example/v2/chat");
  }
  assert.throws(() => cohere.begin(call({}, { credential: undefined })), /COHERE_API_KEY/);
  assert.equal(sent({}, { model: "v2/command-r" }).model, "command-r");
});

const parameters: readonly [given: JsonObject, expected: JsonObject][] = [
  [{}, {}],
  [
    { temperature: 0.5, seed: 1, frequency_penalty: 0.1, logprobs: true },
    { temperature: 0.5, seed: 1, frequency_penalty: 0.1, logprobs: true },
  ],
  [
    { top_p: 0.9, top_k: 4, stop: "a" },
    { p: 0.9, k: 4, stop_sequences: ["a"] },
  ],
  [
    { stop: ["a", "b"], max_tokens: 5 },
    { stop_sequences: ["a", "b"], max_tokens: 5 },
  ],
  [{ max_completion_tokens: 6, user: "u", metadata: {}, n: 1 }, { max_tokens: 6 }],
  [{ reasoning_effort: "none" }, { thinking: { type: "disabled" } }],
  [{ reasoning_effort: "medium" }, { thinking: { type: "enabled", token_budget: 2048 } }],
  [{ reasoning_effort: "low", thinking: { type: "enabled" } }, { thinking: { type: "enabled" } }],
  [{ response_format: { type: "json_object" } }, { response_format: { type: "json_object" } }],
  [
    { response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } } },
    { response_format: { type: "json_object", json_schema: { type: "object" } } },
  ],
  [
    { documents: [{ data: { t: "x" } }], safety_mode: "OFF" },
    { documents: [{ data: { t: "x" } }], safety_mode: "OFF" },
  ],
  [{ tools: [weather], tool_choice: "auto" }, { tools: [weather] }],
  [
    { tools: [weather], tool_choice: "none" },
    { tools: [weather], tool_choice: "NONE" },
  ],
  [
    { tools: [weather], tool_choice: "required" },
    { tools: [weather], tool_choice: "REQUIRED" },
  ],
  [
    { tools: [time], tool_choice: "auto" },
    { tools: [plainTime], strict_tools: true },
  ],
  [
    { tools: [weather, time], tool_choice: { type: "function", function: { name: "get_weather" } } },
    { tools: [weather], tool_choice: "REQUIRED" },
  ],
];

test("every parameter has its counterpart", () => {
  for (const [given, expected] of parameters) {
    assert.deepEqual(sent(given), { model: "command-a", messages: [user], stream: false, ...expected });
  }
});

test("the deployment's parameters and a budget count", () => {
  const defaultParams = { temperature: 0.1, max_tokens: 100 };
  const body = sent({ temperature: 0.2 }, { defaultParams, outputTokenCap: 9, stream: true });
  assert.deepEqual([body.temperature, body.max_tokens, body.stream], [0.2, 9, true]);
  assert.equal(sent({}, { outputTokenCap: 9 }).max_tokens, 9);
});

test("what Cohere cannot do is refused by name, dropped or passed on as the caller says", () => {
  const cases: readonly JsonObject[] = [
    { n: 2 },
    { logit_bias: { 1: 2 } },
    { parallel_tool_calls: false },
    { functions: [{ name: "x" }] },
    { top_logprobs: 3 },
    { reasoning_effort: "odd" },
    { tools: [{ type: "custom", custom: { name: "x" } }] },
    { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] },
  ];
  for (const body of cases) {
    const [name = ""] = Object.keys(body);
    assert.throws(() => sent(body), /drop_params/, name);
    assert.equal(sent(body, { dropParams: true })[name === "messages" ? "-" : name], undefined);
  }
  assert.equal(sent({ n: 2 }, { allowedParams: ["n"] }).n, 2);
  assert.throws(
    () => sent({ tools: [weather], tool_choice: { type: "function", function: { name: "no" } } }),
    /not there/,
  );
  assert.throws(() => cohere.begin(providerCall({ model: "m" })), /'messages'/);
});

const conversation: readonly [given: JsonObject, expected: JsonObject][] = [
  [
    { role: "developer", content: "Be." },
    { role: "system", content: "Be." },
  ],
  [{ ...user, name: "me" }, user],
  [
    {
      role: "user",
      content: [
        { type: "text", text: "a" },
        { type: "image_url", image_url: { url: "data:x", detail: "low" } },
      ],
    },
    {
      role: "user",
      content: [
        { type: "text", text: "a" },
        { type: "image_url", image_url: { url: "data:x", detail: "low" } },
      ],
    },
  ],
  [
    { role: "assistant", content: "Yes", refusal: null },
    { role: "assistant", content: "Yes" },
  ],
  [
    { role: "assistant", content: "Yes", reasoning_content: "Hm." },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Hm." },
        { type: "text", text: "Yes" },
      ],
    },
  ],
  [
    {
      role: "assistant",
      content: null,
      reasoning_content: "I look.",
      tool_calls: [{ id: "t1", type: "function", index: 0, function: { name: "get_time", arguments: "" } }],
    },
    {
      role: "assistant",
      tool_plan: "I look.",
      tool_calls: [{ id: "t1", type: "function", function: { name: "get_time", arguments: "{}" } }],
    },
  ],
  [
    { role: "tool", tool_call_id: "t1", name: "get_time", content: "noon" },
    { role: "tool", tool_call_id: "t1", content: "noon" },
  ],
];

test("messages keep what they say and lose what Cohere does not know", () => {
  const messages = conversation.map(([given]) => given);
  assert.deepEqual(
    sent({ messages }).messages,
    conversation.map(([, expected]) => expected),
  );
});

const reported = {
  prompt_tokens: 40,
  completion_tokens: 12,
  total_tokens: 52,
  prompt_tokens_details: { cached_tokens: 32 },
};

function messageOf(completion: JsonObject): JsonValue | undefined {
  return Array.isArray(completion.choices) ? completion.choices[0] : undefined;
}

test("a whole answer becomes a chat completion", () => {
  const exchange = cohere.begin(call({}));
  const answer = bodyObject(exchange.decodeBody(fixture("../cohere/chat.json")));
  assert.deepEqual(
    [answer.id, answer.object, answer.model, answer.usage],
    ["c-3", "chat.completion", "command-a", reported],
  );
  const [citation] = citations;
  assert.deepEqual(messageOf(answer), {
    index: 0,
    message: {
      role: "assistant",
      content: "Sunny",
      refusal: null,
      reasoning_content: "Hm.",
      provider_specific_fields: { citations: [citation] },
    },
    finish_reason: "length",
    logprobs: {
      content: [
        { token: "Sun", logprob: -0.5, bytes: [83, 117, 110], top_logprobs: [] },
        { token: "ny", logprob: -0.5, bytes: [110, 121], top_logprobs: [] },
      ],
    },
  });
  const { usage, finishReason } = exchange.outcome();
  assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.estimated, finishReason], [11n, 7n, false, "length"]);
});

const citations = [
  {
    start: 0,
    end: 3,
    text: "Sun",
    sources: [{ type: "tool", id: "get_weather_1:0", tool_output: { content: "Sun" } }],
    type: "TEXT_CONTENT",
  },
];

test("a tool call keeps its plan through a round trip", () => {
  const answer = bodyObject(cohere.begin(call({})).decodeBody(fixture("../cohere/tools.json")));
  const choice = messageOf(answer);
  assert.ok(typeof choice === "object" && choice !== null && !Array.isArray(choice));
  assert.equal(choice.finish_reason, "tool_calls");
  const back = sent({ messages: [user, choice.message ?? null] }).messages;
  assert.deepEqual(
    Array.isArray(back) ? back[1] : undefined,
    JSON.parse(fixture("../cohere/tools.json").toString()).message,
  );
});

test("streams are told in any grouping of their events", () => {
  const random = randomNumbers(3);
  for (const name of ["../cohere/chat.sse", "../cohere/tools.sse"]) {
    const events = fixtureEvents(name);
    const run = (size: () => number) => {
      const exchange = cohere.begin(call({ stream_options: { include_usage: true } }, { stream: true }));
      const payloads: Uint8Array[] = [];
      for (let at = 0; at < events.length; ) {
        const next = at + size();
        payloads.push(...exchange.decodeEvents(events.slice(at, next)));
        at = next;
      }
      payloads.push(...exchange.finish());
      assert.equal(exchange.outcome().usage.outputTokens, 7n);
      return texts(payloads).join("");
    };
    const expected = run(() => 1);
    for (let round = 0; round < 30; round += 1)
      assert.equal(
        run(() => 1 + Math.floor(random() * 5)),
        expected,
      );
  }
});

function streamed(events: readonly Uint8Array[]): JsonObject[] {
  const exchange = cohere.begin(call({ stream_options: { include_usage: true } }, { stream: true }));
  return payloadObjects([...exchange.decodeEvents(events), ...exchange.finish()]);
}

const deltas = (chunks: readonly JsonObject[]) =>
  chunks.flatMap(({ choices }) => (Array.isArray(choices) ? choices : [])).map((choice) => Object(choice).delta);

test("a text stream tells thinking, text, citations, the end and usage", () => {
  const chunks = streamed(fixtureEvents("../cohere/chat.sse"));
  assert.deepEqual(deltas(chunks), [
    { role: "assistant", content: "" },
    { reasoning_content: "Hm." },
    { content: "Sun" },
    { provider_specific_fields: { citations } },
    { content: "ny ☀" },
    {},
  ]);
  assert.deepEqual(chunks.at(-1)?.usage, reported);
  assert.equal(
    chunks.every(({ id }) => id === "c-1"),
    true,
  );
});

test("a tool stream numbers its calls from 0 and ends with the plan", () => {
  assert.deepEqual(deltas(streamed(fixtureEvents("../cohere/tools.sse"))), [
    { role: "assistant", content: "" },
    { reasoning_content: "I " },
    { reasoning_content: "look." },
    { tool_calls: [{ index: 0, id: "t1", type: "function", function: { name: "get_weather", arguments: "" } }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }] },
    { tool_calls: [{ index: 1, id: "t2", type: "function", function: { name: "get_time", arguments: "" } }] },
    { tool_calls: [{ index: 1, function: { arguments: "{}" } }] },
    { provider_specific_fields: { tool_plan: "I look." } },
  ]);
});

test("a Messages client gets thinking and tools", () => {
  const exchange = cohere.begin(call({ max_tokens: 9 }, { operation: Operation.MESSAGES, stream: true }));
  const events = payloadObjects([...exchange.decodeEvents(fixtureEvents("../cohere/tools.sse")), ...exchange.finish()]);
  const starts = events.filter(({ type }) => type === "content_block_start");
  assert.deepEqual(
    starts.map(({ content_block }) => Object(content_block).type),
    ["thinking", "tool_use", "tool_use"],
  );
});

function failure(run: () => unknown): unknown[] {
  try {
    run();
  } catch (error) {
    const detail = findUpstreamError(ConnectError.from(error));
    return [detail?.kind, detail?.httpStatus, detail?.retryable];
  }
  return [];
}

test("an answer that is none, or broken off, is an error", () => {
  const decode = (body: string) => failure(() => cohere.begin(call({})).decodeBody(Buffer.from(body)));
  assert.deepEqual(decode("<html>"), [UpstreamErrorKind.BAD_GATEWAY, 502, true]);
  assert.deepEqual(decode('{"message":{}}'), [UpstreamErrorKind.BAD_GATEWAY, 502, true]);
  assert.deepEqual(decode('{"message":"broken"}'), [UpstreamErrorKind.INTERNAL, 500, true]);
  assert.deepEqual(decode('{"message":{"role":"assistant"},"finish_reason":"TIMEOUT"}'), [
    UpstreamErrorKind.TIMEOUT,
    504,
    true,
  ]);
  const end = { type: "message-end", delta: { finish_reason: "ERROR", error: "generation failed" } };
  assert.deepEqual(
    failure(() => streamed(namedEvents(end))),
    [UpstreamErrorKind.INTERNAL, 500, true],
  );
  assert.deepEqual(
    failure(() => streamed(fixtureEvents("../cohere/chat.sse").slice(0, 5))),
    [UpstreamErrorKind.BAD_GATEWAY, 502, true],
  );
  assert.deepEqual(
    failure(() => streamed([Buffer.from("data: {\n\n")])),
    [UpstreamErrorKind.BAD_GATEWAY, 502, true],
  );
});

test("an aborted stream is estimated", () => {
  const exchange = cohere.begin(call({}, { stream: true }));
  exchange.decodeEvents(fixtureEvents("../cohere/chat.sse").slice(0, 6));
  const { usage, responseId } = exchange.outcome();
  assert.deepEqual([usage.estimated, usage.outputTokens > 0n, responseId], [true, true, "c-1"]);
});

test("failures are told apart by status and words", () => {
  const cases: readonly [status: number, body: JsonObject, kind: UpstreamErrorKind][] = [
    [400, { message: "invalid request" }, UpstreamErrorKind.BAD_REQUEST],
    [
      400,
      { message: "too many tokens: size limit exceeded", error_type: "TOO_MANY_TOKENS" },
      UpstreamErrorKind.CONTEXT_WINDOW,
    ],
    [401, { message: "invalid api token" }, UpstreamErrorKind.AUTHENTICATION],
    [404, { message: "model 'x' not found" }, UpstreamErrorKind.NOT_FOUND],
    [429, { message: "You are using a Trial key" }, UpstreamErrorKind.RATE_LIMITED],
    [498, { message: "blocked output" }, UpstreamErrorKind.CONTENT_POLICY],
    [500, { message: "internal server error" }, UpstreamErrorKind.INTERNAL],
  ];
  for (const [status, body, kind] of cases) {
    const error = cohere.classifyError(status, {}, Buffer.from(JSON.stringify(body)));
    assert.deepEqual([error.kind, error.httpStatus, error.message], [kind, status, body.message]);
  }
});
