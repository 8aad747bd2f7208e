import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { AwsEventStreamSplitter } from "../../aws-eventstream.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { converseEvent, converseException } from "../../testing/event-stream-frames.ts";
import { objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import {
  bodyObject,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { bedrock } from "./bedrock.ts";

const claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const hello: JsonObject = { model: "group", max_tokens: 10, messages: [{ role: "user", content: "Hello" }] };

function begin(model: string, changes: Partial<ProviderCall> = {}, body: JsonObject = hello): Exchange {
  return bedrock.begin(providerCall(body, { model, callId: "call-1", ...changes }));
}

function chunks(...events: readonly JsonObject[]): Buffer[] {
  return events.map((event) =>
    converseEvent("chunk", { bytes: Buffer.from(JSON.stringify(event)).toString("base64"), p: "abc" }),
  );
}

function decoded(exchange: Exchange, frames: readonly Uint8Array[]): JsonObject[] {
  return payloadObjects([...exchange.decodeEvents(frames), ...exchange.finish()]);
}

function contentOf(events: readonly JsonObject[], member = "content"): string {
  return events.map(({ choices }) => textOf(objectOf(objectsOf(choices)[0]?.delta)[member])).join("");
}

test("messages of a Claude model are Anthropic's own, with the model in the address", () => {
  const headers = { "anthropic-beta": "claude-code-20250219, interleaved-thinking-2025-05-14" };
  const thought = { type: "thinking", thinking: "t", signature: "c2ln" };
  const messages = [
    { role: "user", content: "Hello" },
    { role: "assistant", content: [thought] },
  ];
  const body = { ...hello, messages, stream: true, service_tier: "flex", new_field: { a: 1 } };
  const { request } = begin(claude, { operation: Operation.MESSAGES, stream: true, headers }, body);
  assert.match(request.url, /\/model\/us\.anthropic\.[^/]+\/invoke-with-response-stream$/);
  assert.equal(request.headers["x-amzn-bedrock-service-tier"], "flex");
  assert.equal(request.headers["anthropic-beta"], undefined);
  assert.deepEqual(bodyObject(request.body), {
    max_tokens: 10,
    messages,
    new_field: { a: 1 },
    anthropic_beta: ["interleaved-thinking-2025-05-14"],
    anthropic_version: "bedrock-2023-05-31",
  });
});

test("betas that Bedrock knows, and those that a body needs there", () => {
  const opus = "global.anthropic.claude-opus-4-5-20251101-v1:0";
  const search = { type: "tool_search_tool_regex_20251119", name: "search" };
  const cases: readonly [string, JsonObject, string, JsonObject[string] | undefined][] = [
    [claude, {}, "claude-code-20250219,effort-2025-11-24,advanced-tool-use-2025-11-20", undefined],
    [claude, {}, "context-1m-2025-08-07 , context-1m-2025-08-07", ["context-1m-2025-08-07"]],
    [claude, { anthropic_beta: ["output-128k-2025-02-19", "x"] }, "", ["output-128k-2025-02-19"]],
    [opus, { tools: [search] }, "advanced-tool-use-2025-11-20", ["tool-search-tool-2025-10-19"]],
    [opus, { tools: [{ name: "f", input_schema: {}, input_examples: [{}] }] }, "", ["tool-examples-2025-10-29"]],
    [opus, { output_config: { effort: "low" } }, "", ["effort-2025-11-24"]],
    [claude, { output_config: { effort: "low" } }, "effort-2025-11-24", undefined],
    [opus, { context_management: { edits: [{ type: "compact_20260112" }] } }, "", ["compact-2026-01-12"]],
  ];
  for (const [model, fields, header, betas] of cases) {
    const headers: Record<string, string> = header === "" ? {} : { "anthropic-beta": header };
    const { request } = begin(model, { operation: Operation.MESSAGES, headers }, { ...hello, ...fields });
    assert.deepEqual(bodyObject(request.body).anthropic_beta, betas, JSON.stringify([fields, header]));
  }
});

test("a scope of a cache mark is left out, and nothing else that is called so", () => {
  const mark = { type: "ephemeral", ttl: "1h" };
  const system = [{ type: "text", text: "s", cache_control: { ...mark, scope: "global" } }];
  const tools = [{ name: "f", input_schema: { type: "object", properties: { scope: { type: "string" } } } }];
  const { request } = begin(claude, { operation: Operation.MESSAGES }, { ...hello, system, tools });
  const sent = bodyObject(request.body);
  assert.deepEqual(sent.system, [{ type: "text", text: "s", cache_control: mark }]);
  assert.deepEqual([sent.tools, sent.messages], [tools, hello.messages]);
});

const messageEvents: readonly JsonObject[] = [
  {
    type: "message_start",
    message: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "claude",
      content: [],
      usage: { input_tokens: 4, output_tokens: 1 },
    },
  },
  { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "Hm ☃" } },
  { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: "c2ln" } },
  { type: "content_block_stop", index: 0 },
  { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Hi" } },
  { type: "content_block_stop", index: 1 },
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 9 } },
  { type: "message_stop", "amazon-bedrock-invocationMetrics": { inputTokenCount: 4, outputTokenCount: 9 } },
];

test("a Claude stream over Invoke is the same however it is cut", () => {
  const body = Buffer.concat(chunks(...messageEvents));
  const random = randomNumbers(7);
  const expected = messageEvents.map((event) => `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`);
  for (let round = 0; round < 30; round += 1) {
    const exchange = begin(claude, { operation: Operation.MESSAGES, stream: true });
    const splitter = new AwsEventStreamSplitter();
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < body.length; ) {
      const end = round === 0 ? at + 1 : at + 1 + Math.floor(random() * 400);
      payloads.push(...exchange.decodeEvents(splitter.push(body.subarray(at, end))));
      at = end;
    }
    splitter.end();
    assert.deepEqual(texts([...payloads, ...exchange.finish()]), expected);
    assert.deepEqual([exchange.outcome().usage.inputTokens, exchange.outcome().usage.outputTokens], [4n, 9n]);
  }
});

test("a chat with a Claude model over Invoke", () => {
  const exchange = begin(`invoke/${claude}`, { stream: true });
  const sent = bodyObject(exchange.request.body);
  assert.deepEqual([sent.anthropic_version, sent.model, sent.stream], ["bedrock-2023-05-31", undefined, undefined]);
  const events = decoded(exchange, chunks(...messageEvents));
  assert.deepEqual([contentOf(events), contentOf(events, "reasoning_content")], ["Hi", "Hm ☃"]);
});

test("Nova speaks Converse's words over Invoke", () => {
  const exchange = begin(
    "invoke/amazon.nova-lite-v1:0",
    { stream: true },
    { ...hello, top_k: 5, service_tier: "flex" },
  );
  assert.equal(exchange.request.headers["x-amzn-bedrock-service-tier"], "flex");
  assert.deepEqual(bodyObject(exchange.request.body), {
    schemaVersion: "messages-v1",
    messages: [{ role: "user", content: [{ text: "Hello" }] }],
    inferenceConfig: { maxTokens: 10, topK: 5 },
  });
  const frames = chunks(
    { messageStart: { role: "assistant" } },
    { contentBlockDelta: { delta: { text: "Hi" }, contentBlockIndex: 0 } },
    { contentBlockStop: { contentBlockIndex: 0 } },
    { messageStop: { stopReason: "end_turn" } },
    { metadata: { usage: { inputTokens: 5, outputTokens: 2, cacheReadInputTokenCount: 3 } } },
  );
  assert.equal(contentOf(decoded(exchange, frames)), "Hi");
  const { usage, finishReason } = exchange.outcome();
  assert.deepEqual([usage.inputTokens, usage.cacheReadTokens, usage.outputTokens, finishReason], [5n, 3n, 2n, "stop"]);
});

test("models that speak OpenAI's format", () => {
  const body: JsonObject = { ...hello, stream: true, stream_options: { include_usage: true }, seed: 1 };
  const exchange = begin("invoke/openai.gpt-oss-20b-1:0", { stream: true }, body);
  assert.deepEqual(bodyObject(exchange.request.body), { max_tokens: 10, messages: hello.messages, seed: 1 });
  const choice = (delta: JsonObject, finish: string | null = null) => ({
    id: "c-1",
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  const frames = chunks(
    choice({ content: "<reasoning>We need</reasoning>" }),
    choice({ content: "<reasoning> to greet</reasoning>" }),
    choice({ content: "Hi" }),
    { ...choice({}, "stop"), "amazon-bedrock-invocationMetrics": { inputTokenCount: 90, outputTokenCount: 8 } },
  );
  const events = decoded(exchange, frames);
  assert.deepEqual([contentOf(events), contentOf(events, "reasoning_content")], ["Hi", "We need to greet"]);
  assert.deepEqual(events.at(-1)?.usage, { prompt_tokens: 90, completion_tokens: 8, total_tokens: 98 });
  const { usage, finishReason } = exchange.outcome();
  assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.estimated, finishReason], [90n, 8n, false, "stop"]);

  const whole = begin("invoke/openai.gpt-oss-20b-1:0");
  const message = { role: "assistant", content: "<reasoning>So.</reasoning>Hi" };
  const answer = {
    id: "c-1",
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 2 },
  };
  const [told] = objectsOf(bodyObject(whole.decodeBody(Buffer.from(JSON.stringify(answer)))).choices);
  assert.deepEqual(told?.message, { role: "assistant", content: "Hi", reasoning_content: "So." });
});

const turns = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "Hello" }] },
  { role: "assistant", content: "Hi" },
  { role: "user", content: "Bye" },
];
const counted = { "x-amzn-bedrock-input-token-count": "16", "x-amzn-bedrock-output-token-count": "11" };

/** A model, the members of its body, an answer to it, and chunks of one. */
const textModels: readonly [model: string, body: JsonObject, answer: JsonObject, pieces: readonly JsonObject[]][] = [
  [
    "invoke/amazon.titan-text-lite-v1",
    {
      inputText: "Be brief.\nUser: Hello\nBot: Hi\nUser: Bye\nBot: ",
      textGenerationConfig: { maxTokenCount: 10, temperature: 0.5, topP: 0.9, stopSequences: ["|"] },
    },
    { inputTextTokenCount: 16, results: [{ tokenCount: 11, outputText: "Ciao", completionReason: "FINISH" }] },
    [
      { outputText: "Ci", index: 0, completionReason: null },
      {
        outputText: "ao",
        completionReason: "FINISH",
        "amazon-bedrock-invocationMetrics": { inputTokenCount: 16, outputTokenCount: 11 },
      },
    ],
  ],
  [
    "invoke/meta.llama3-8b-instruct-v1:0",
    {
      prompt:
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
      max_gen_len: 10,
      temperature: 0.5,
      top_p: 0.9,
      stop: ["|"],
    },
    { generation: "Ciao", prompt_token_count: 16, generation_token_count: 11, stop_reason: "stop" },
    [
      { generation: "Ci", prompt_token_count: 16, generation_token_count: 1, stop_reason: null },
      { generation: "ao", prompt_token_count: null, generation_token_count: 11, stop_reason: "stop" },
    ],
  ],
  [
    "invoke/mistral.mistral-7b-instruct-v0:2",
    {
      prompt: "<s>[INST] Be brief. [/INST]\n[INST] Hello [/INST]\nHi</s>[INST] Bye [/INST]\n",
      max_tokens: 10,
      temperature: 0.5,
      top_p: 0.9,
      stop: ["|"],
    },
    { outputs: [{ text: "Ciao", stop_reason: "stop" }] },
    [{ outputs: [{ text: "Ci", stop_reason: null }] }, { outputs: [{ text: "ao", stop_reason: "stop" }] }],
  ],
  [
    "invoke/anthropic.claude-v2:1",
    {
      prompt: "Be brief.\n\nHuman: Hello\n\nAssistant: Hi\n\nHuman: Bye\n\nAssistant:",
      max_tokens_to_sample: 10,
      temperature: 0.5,
      top_p: 0.9,
      stop_sequences: ["|"],
    },
    { type: "completion", completion: "Ciao", stop_reason: "stop_sequence", stop: "\n\nHuman:" },
    [
      { completion: "Ci", stop_reason: null },
      { completion: "ao", stop_reason: "stop_sequence" },
    ],
  ],
  [
    "invoke/cohere.command-text-v14",
    { prompt: "Be brief.\nHello\nHi\nBye", max_tokens: 10, temperature: 0.5, p: 0.9, stop_sequences: ["|"] },
    { generations: [{ text: "Ciao", finish_reason: "COMPLETE" }] },
    [{ text: "Ci", is_finished: false }, { text: "ao" }, { is_finished: true, finish_reason: "COMPLETE" }],
  ],
  [
    "invoke/cohere.command-r-v1:0",
    {
      message: "Bye",
      chat_history: [
        { role: "SYSTEM", message: "Be brief." },
        { role: "USER", message: "Hello" },
        { role: "CHATBOT", message: "Hi" },
      ],
      max_tokens: 10,
      temperature: 0.5,
      p: 0.9,
      stop_sequences: ["|"],
    },
    { text: "Ciao", finish_reason: "COMPLETE" },
    [
      { event_type: "text-generation", text: "Ci" },
      { event_type: "text-generation", text: "ao" },
      { event_type: "stream-end", finish_reason: "COMPLETE", response: { text: "Ciao" } },
    ],
  ],
  [
    "qwen3/arn:aws:bedrock:us-east-1:1:imported-model/a",
    {
      prompt:
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
      max_gen_len: 10,
      temperature: 0.5,
      top_p: 0.9,
      stop: ["|"],
    },
    { generation: "Ciao", stop_reason: "stop" },
    [{ outputs: [{ text: "Ciao", stop_reason: "stop" }] }],
  ],
];

test("models that continue a text", async (t) => {
  const asked: JsonObject = { model: "m", messages: turns, max_tokens: 10, temperature: 0.5, top_p: 0.9, stop: "|" };
  for (const [model, body, answer, pieces] of textModels) {
    await t.test(model, () => {
      const whole = begin(model, {}, asked);
      assert.match(whole.request.url, /\/invoke$/);
      assert.deepEqual(bodyObject(whole.request.body), body);
      const told = bodyObject(whole.decodeBody(Buffer.from(JSON.stringify(answer)), counted));
      assert.equal(objectOf(objectsOf(told.choices)[0]?.message).content, "Ciao");
      assert.deepEqual(told.usage, { prompt_tokens: 16, completion_tokens: 11, total_tokens: 27 });
      assert.equal(whole.outcome().finishReason, "stop");
      const stream = begin(model, { stream: true }, asked);
      assert.equal(contentOf(decoded(stream, chunks(...pieces))), "Ciao");
      assert.equal(stream.outcome().finishReason, "stop");
    });
  }
});

test("DeepSeek's thoughts come before its answer", () => {
  const model = "invoke/us.deepseek.r1-v1:0";
  const answer = { choices: [{ text: "Hm.\n</think>\n\nHi", stop_reason: "length" }] };
  const [choice] = objectsOf(bodyObject(begin(model).decodeBody(Buffer.from(JSON.stringify(answer)))).choices);
  const { content, reasoning_content: reasoning } = objectOf(choice?.message);
  assert.deepEqual([content, reasoning, choice?.finish_reason], ["Hi", "Hm.\n", "length"]);
  const pieces = ["Hm.", "</think>", "\n\nHi", "!"].map((text) => ({ choices: [{ text, stop_reason: null }] }));
  const events = decoded(
    begin(model, { stream: true }),
    chunks(...pieces, { choices: [{ text: "", stop_reason: "stop" }] }),
  );
  assert.deepEqual([contentOf(events).trim(), contentOf(events, "reasoning_content")], ["Hi!", "Hm."]);
});

test("messages to any model over Invoke", () => {
  const exchange = begin("invoke/amazon.titan-text-lite-v1", { operation: Operation.MESSAGES });
  const answer = { inputTextTokenCount: 2, results: [{ tokenCount: 1, outputText: "Hi", completionReason: "FINISH" }] };
  const message = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.deepEqual(message.content, [{ type: "text", text: "Hi" }]);
});

test("what a model that continues a text cannot do is refused by name", () => {
  const model = "invoke/amazon.titan-text-lite-v1";
  const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
  const image = [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://x" } }] }];
  const cases: readonly [JsonObject, RegExp][] = [
    [{ ...hello, tools }, /'tools'/],
    [{ ...hello, n: 2 }, /'n'/],
    [{ ...hello, response_format: { type: "json_object" } }, /'response_format'/],
    [{ ...hello, messages: image }, /image_url/],
    [{ ...hello, messages: [{ role: "tool", tool_call_id: "1", content: "x" }] }, /results of tools/],
  ];
  for (const [body, message] of cases) assert.throws(() => begin(model, {}, body), message);
  const dropped = begin(model, { dropParams: true }, { ...hello, tools, n: 2 });
  assert.deepEqual(objectOf(bodyObject(dropped.request.body).textGenerationConfig), { maxTokenCount: 10 });
});

test("streams that break", () => {
  const models = [
    `invoke/${claude}`,
    "invoke/amazon.nova-lite-v1:0",
    "invoke/openai.gpt-oss-20b-1:0",
    "invoke/meta.llama3-8b-instruct-v1:0",
  ];
  const cases: readonly [string, readonly Buffer[], number][] = [
    ["an exception", [converseException("modelStreamErrorException", "Oh")], 424],
    ["throttled", [converseException("throttlingException", "Slow down")], 429],
    ["a chunk without bytes", [converseEvent("chunk", { p: "a" })], 502],
    ["no JSON inside", [converseEvent("chunk", { bytes: Buffer.from("{oops").toString("base64") })], 502],
    ["no end", chunks({}), 502],
    ["nothing", [], 502],
  ];
  for (const model of models) {
    for (const [name, frames, status] of cases) {
      const exchange = begin(model, { stream: true });
      let error: unknown;
      try {
        exchange.decodeEvents(frames);
        exchange.finish();
      } catch (thrown) {
        error = thrown;
      }
      const detail = findUpstreamError(ConnectError.from(error));
      assert.equal(detail?.httpStatus, status, `${model}, ${name}`);
    }
    const unknown = begin(model, { stream: true }).decodeEvents([converseEvent("somethingNew", {})]);
    assert.deepEqual(unknown, [], `${model}, an unknown event`);
  }
});
