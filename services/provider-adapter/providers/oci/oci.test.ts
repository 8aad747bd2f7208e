import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
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
import { oci } from "./oci.ts";

const user = { role: "user", content: "Hi" };
const tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "w",
    parameters: { type: "object", properties: { city: { type: "string", description: "c" } }, required: ["city"] },
  },
};
const credential = new Secret(
  JSON.stringify({ oci_user: "u", oci_fingerprint: "f", oci_tenancy: "t", oci_key_file: "/key.pem" }),
);
const settings = { oci_region: "eu-frankfurt-1", oci_compartment_id: "ocid1.compartment" };

function begin(body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  const call = { model: "meta.llama-4", credential, settings, callId: "a-b", stream: body.stream === true, ...changes };
  return oci.begin(
    providerCall({ model: "group", ...(body.input === undefined ? { messages: [user] } : {}), ...body }, call),
  );
}

const sent = (body: JsonObject, changes: Partial<ProviderCall> = {}) => bodyObject(begin(body, changes).request.body);
const chatRequest = (body: JsonObject, changes: Partial<ProviderCall> = {}) => Object(sent(body, changes).chatRequest);
const cohere = { model: "cohere.command-a-03-2025" };

test("a request names region, compartment and model", () => {
  const { url, headers } = begin({}).request;
  assert.equal(url, "https://inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com/20231130/actions/chat");
  assert.equal(headers.authorization, undefined);
  const { chatRequest: _, ...outer } = sent({});
  assert.deepEqual(outer, {
    compartmentId: "ocid1.compartment",
    servingMode: { servingType: "ON_DEMAND", modelId: "meta.llama-4" },
  });
  const dedicated = { settings: { ...settings, oci_serving_mode: "DEDICATED", oci_endpoint_id: "e" } };
  assert.deepEqual(sent({}, dedicated).servingMode, { servingType: "DEDICATED", endpointId: "e" });
  assert.equal(begin({}, { baseUrl: "http://own.test" }).request.url, "http://own.test/20231130/actions/chat");
  assert.throws(() => begin({}, { credential: undefined }), /OCI_KEY_FILE/);
  assert.throws(() => begin({}, { settings: {} }), /OCI_COMPARTMENT_ID/);
  assert.throws(() => begin({}, { settings: { ...settings, oci_region: "x.evil/" } }), /no region/);
});

const generic: readonly [given: JsonObject, expected: JsonObject][] = [
  [{}, {}],
  [
    { max_tokens: 5, temperature: 0, top_p: 0.5, top_k: 3, n: 2, seed: 1, stop: "a" },
    { maxTokens: 5, temperature: 0, topP: 0.5, topK: 3, numGenerations: 2, seed: 1, stop: ["a"] },
  ],
  [
    { logprobs: true, top_logprobs: 2, logit_bias: { 1: 2 } },
    { logProbs: 2, logitBias: { 1: 2 } },
  ],
  [
    { reasoning_effort: "high", verbosity: "low" },
    { reasoningEffort: "HIGH", verbosity: "LOW" },
  ],
  [{ response_format: { type: "json_object" } }, { responseFormat: { type: "JSON_OBJECT" } }],
  [
    { response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema: { type: "object" } } } },
    {
      responseFormat: {
        type: "JSON_SCHEMA",
        jsonSchema: { name: "x", schema: { type: "object" }, isStrict: true },
      },
    },
  ],
  [
    { tools: [tool], tool_choice: "required", parallel_tool_calls: false },
    {
      isParallelToolCalls: false,
      tools: [{ type: "FUNCTION", ...tool.function }],
      toolChoice: { type: "REQUIRED" },
    },
  ],
  [
    { tools: [tool], tool_choice: { type: "function", function: { name: "get_weather" } } },
    { tools: [{ type: "FUNCTION", ...tool.function }], toolChoice: { type: "FUNCTION", name: "get_weather" } },
  ],
  [{ user: "u", metadata: {}, isEcho: true }, { isEcho: true }],
];

test("every parameter has its counterpart", () => {
  const messages = [{ role: "USER", content: [{ type: "TEXT", text: "Hi" }] }];
  for (const [given, expected] of generic) {
    assert.deepEqual(chatRequest(given), { apiFormat: "GENERIC", messages, isStream: false, ...expected });
  }
  assert.deepEqual(chatRequest({ stream: true }).streamOptions, { isIncludeUsage: true });
  assert.equal(chatRequest({ max_tokens: 9 }, { model: "openai.gpt-5" }).maxCompletionTokens, 9);
  assert.equal(chatRequest({ max_tokens: 9 }, { outputTokenCap: 4 }).maxTokens, 4);
  assert.equal(chatRequest({}, { defaultParams: { temperature: 1 } }).temperature, 1);
});

test("what Oracle cannot do is refused by name, dropped or passed on as the caller says", () => {
  const cases: readonly (readonly [JsonObject, Partial<ProviderCall>])[] = [
    [{ audio: {} }, {}],
    [{ reasoning_effort: "odd" }, {}],
    [{ n: 2 }, cohere],
    [{ tool_choice: "required" }, cohere],
    [{ logprobs: true }, cohere],
  ];
  for (const [body, changes] of cases) {
    const [name = ""] = Object.keys(body);
    assert.throws(() => begin(body, changes), new RegExp(`'${name}'`), name);
    assert.equal(chatRequest(body, { ...changes, dropParams: true })[name], undefined, name);
    assert.deepEqual(chatRequest(body, { ...changes, allowedParams: [name] })[name], body[name], name);
  }
  const audio = { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] };
  for (const changes of [{}, cohere]) assert.throws(() => begin(audio, changes), /input_audio/);
  assert.throws(() => begin({ messages: "x" }), /'messages'/);
});

const talk: JsonObject[] = [
  { role: "developer", content: "Be." },
  { role: "user", content: [{ type: "text", text: "a" }] },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "t1", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } }],
  },
  { role: "tool", tool_call_id: "t1", content: '{"sky":"blue"}' },
];

test("a conversation with tools", () => {
  const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } };
  assert.deepEqual(chatRequest({ messages: [...talk, { role: "user", content: [image] }] }).messages, [
    { role: "SYSTEM", content: [{ type: "TEXT", text: "Be." }] },
    { role: "USER", content: [{ type: "TEXT", text: "a" }] },
    {
      role: "ASSISTANT",
      content: null,
      toolCalls: [{ type: "FUNCTION", id: "t1", name: "get_weather", arguments: '{"city":"Rome"}' }],
    },
    { role: "TOOL", toolCallId: "t1", content: [{ type: "TEXT", text: '{"sky":"blue"}' }] },
    { role: "USER", content: [{ type: "IMAGE", imageUrl: { url: "data:image/png;base64,AA==", detail: "LOW" } }] },
  ]);
});

test("Cohere's format keeps the last word apart from what was said before", () => {
  const call = { name: "get_weather", parameters: { city: "Rome" } };
  const request = chatRequest({ messages: talk, tools: [tool] }, cohere);
  assert.deepEqual(request, {
    apiFormat: "COHERE",
    message: "",
    chatHistory: [
      { role: "USER", message: "a" },
      { role: "CHATBOT", message: "", toolCalls: [call] },
    ],
    preambleOverride: "Be.",
    toolResults: [{ call, outputs: [{ sky: "blue" }] }],
    isStream: false,
    tools: [
      {
        name: "get_weather",
        description: "w",
        parameterDefinitions: { city: { type: "str", description: "c", isRequired: true } },
      },
    ],
  });
  const later = chatRequest({ messages: [...talk, { role: "assistant", content: "Blue." }, user] }, cohere);
  assert.equal(later.message, "Hi");
  assert.deepEqual(later.chatHistory.slice(2), [
    { role: "TOOL", toolResults: [{ call, outputs: [{ sky: "blue" }] }] },
    { role: "CHATBOT", message: "Blue." },
  ]);
  assert.throws(() => begin({ messages: [user, { role: "assistant", content: "a" }] }, cohere), /last message/);
  assert.throws(() => begin({ messages: [{ role: "tool", tool_call_id: "no", content: "" }] }, cohere), /no call/);
});

const usage = { promptTokens: 5, completionTokens: 7, totalTokens: 12 };

function answerOf(response: JsonValue, changes: Partial<ProviderCall> = {}) {
  const exchange = begin({}, changes);
  const body = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify({ chatResponse: response }))));
  return {
    body,
    choice: Object(Array.isArray(body.choices) ? body.choices[0] : undefined),
    outcome: exchange.outcome(),
  };
}

test("whole answers become chat completions", () => {
  const told = answerOf({
    apiFormat: "GENERIC",
    choices: [
      {
        index: 0,
        message: { role: "ASSISTANT", content: [{ type: "TEXT", text: "Sun" }], reasoningContent: "Hm." },
        finishReason: "length",
        logprobs: { tokens: ["Sun"], tokenLogprobs: [-0.5], topLogprobs: [{ Sun: -0.5 }] },
      },
    ],
    usage,
  });
  assert.deepEqual(told.choice, {
    index: 0,
    message: { role: "assistant", content: "Sun", refusal: null, reasoning_content: "Hm." },
    finish_reason: "length",
    logprobs: {
      content: [
        {
          token: "Sun",
          logprob: -0.5,
          bytes: [83, 117, 110],
          top_logprobs: [{ token: "Sun", logprob: -0.5, bytes: [83, 117, 110] }],
        },
      ],
    },
  });
  assert.deepEqual([told.outcome.usage.inputTokens, told.outcome.usage.outputTokens], [5n, 7n]);
  const called = answerOf(
    { text: "", toolCalls: [{ name: "get_weather", parameters: { city: "Rome" } }], finishReason: "COMPLETE", usage },
    cohere,
  );
  assert.deepEqual(called.choice.message.tool_calls, [
    { id: "call_ab_0", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } },
  ]);
  assert.equal(called.choice.finish_reason, "tool_calls");
});

function run(name: string, changes: Partial<ProviderCall>, size: () => number): string {
  const exchange = begin({ stream: true, stream_options: { include_usage: true } }, changes);
  const payloads = toldInPieces(exchange, fixture(`../oci/${name}`), size);
  assert.equal(exchange.outcome().usage.outputTokens, 7n);
  return texts(payloads).join("");
}

test("streams are told under any cut of their bytes", () => {
  const random = randomNumbers(5);
  for (const [name, changes] of [
    ["generic.sse", {}],
    ["cohere.sse", cohere],
  ] as const) {
    const expected = run(name, changes, () => 100_000);
    for (let round = 0; round < 40; round += 1) {
      assert.equal(
        run(name, changes, () => 1 + Math.floor(random() * 40)),
        expected,
      );
    }
  }
});

function streamed(name: string, changes: Partial<ProviderCall> = {}): JsonObject[] {
  const exchange = begin({ stream: true, stream_options: { include_usage: true } }, changes);
  return payloadObjects([...exchange.decodeEvents(fixtureEvents(`../oci/${name}`)), ...exchange.finish()]);
}

const choicesOf = (chunks: readonly JsonObject[]) =>
  chunks.flatMap(({ choices }) => (Array.isArray(choices) ? choices : [])).map((choice) => Object(choice));

test("a stream tells text, tool calls, the end and usage", () => {
  const chunks = streamed("generic.sse");
  assert.deepEqual(
    choicesOf(chunks).map(({ delta }) => delta),
    [
      { role: "assistant", content: "" },
      { content: "Let me " },
      { content: "look ☀" },
      { tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "get_weather", arguments: "" } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
      {
        tool_calls: [
          { index: 0, function: { arguments: '"Rome"}' } },
          { index: 1, id: "c2", type: "function", function: { name: "get_time", arguments: "{}" } },
        ],
      },
      {},
    ],
  );
  assert.equal(choicesOf(chunks).at(-1)?.finish_reason, "tool_calls");
  assert.deepEqual(chunks.at(-1)?.usage, {
    prompt_tokens: 11,
    completion_tokens: 7,
    total_tokens: 18,
    prompt_tokens_details: { cached_tokens: 4 },
  });
  const cohereDeltas = choicesOf(streamed("cohere.sse", cohere)).map(({ delta }) => delta);
  assert.deepEqual(cohereDeltas, [{ role: "assistant", content: "" }, { content: "Sun" }, { content: "ny ☀" }, {}]);
});

test("what is broken is an upstream error, never a whole answer", () => {
  const statusOf = (act: () => unknown) => {
    try {
      act();
    } catch (error) {
      return findUpstreamError(ConnectError.from(error))?.httpStatus;
    }
    return 200;
  };
  for (const body of ["<html>", "{}", '{"chatResponse":{"choices":[]}}', '{"chatResponse":{}}']) {
    assert.equal(
      statusOf(() => begin({}).decodeBody(Buffer.from(body))),
      502,
      body,
    );
    assert.equal(
      statusOf(() => begin({}, cohere).decodeBody(Buffer.from(body))),
      502,
      body,
    );
  }
  const cut = begin({ stream: true });
  cut.decodeEvents(fixtureEvents("../oci/generic.sse").slice(0, 2));
  assert.equal(
    statusOf(() => cut.finish()),
    502,
  );
  assert.equal(cut.outcome().usage.estimated, true);
  const failed = '{"chatResponse":{"text":"","finishReason":"ERROR","errorMessage":"out of memory"}}';
  assert.throws(() => begin({}, cohere).decodeBody(Buffer.from(failed)), /out of memory/);
  const error = Buffer.from('{"code":"TooManyRequests","message":"slow down"}');
  const init = oci.classifyError(429, {}, error);
  assert.deepEqual([init.kind, init.message, init.retryable], [UpstreamErrorKind.RATE_LIMITED, "slow down", true]);
});

test("messages come by way of a chat, vectors by embedText", () => {
  const messages = begin({ max_tokens: 9, stream: true }, { operation: Operation.MESSAGES });
  const text = texts([...messages.decodeEvents(fixtureEvents("../oci/generic.sse")), ...messages.finish()]).join("");
  assert.match(text, /"stop_reason":"tool_use"/);
  const exchange = begin(
    { input: ["a", "b"], input_type: "search_query" },
    { operation: Operation.EMBEDDINGS, model: "cohere.embed-v4.0" },
  );
  assert.match(exchange.request.url, /\/actions\/embedText$/);
  const { inputs, inputType } = bodyObject(exchange.request.body);
  assert.deepEqual([inputs, inputType], [["a", "b"], "SEARCH_QUERY"]);
  const ranking = oci.begin(
    providerCall(
      { query: "q", documents: ["a", "b"], top_n: 1 },
      { operation: Operation.RERANK, model: "cohere.rerank-v4", credential, settings },
    ),
  );
  const { input, documents, topN } = bodyObject(ranking.request.body);
  assert.deepEqual([input, documents, topN], ["q", ["a", "b"], 1]);
  const ranks = Buffer.from('{"documentRanks":[{"index":1,"relevanceScore":0.9}]}');
  assert.deepEqual(bodyObject(ranking.decodeBody(ranks)).results, [{ index: 1, relevance_score: 0.9 }]);
  const answer = { id: "e", embeddings: [[1], [2]], usage: { totalTokens: 4 } };
  const { data, usage: counted } = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.equal(Array.isArray(data) && data.length, 2);
  assert.deepEqual(counted, { prompt_tokens: 4, total_tokens: 4 });
});
