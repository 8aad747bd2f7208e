import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { MessageStream } from "@anthropic-ai/sdk/lib/MessageStream";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../provider.ts";
import { createOpenAiCompatibleProviders } from "../providers/openai-compatible/provider.ts";
import { objectsOf } from "./json-reading.ts";
import { createMessagesOverChat } from "./messages-over-chat.ts";
import type { ChatProvider } from "./over-chat.ts";
import { dataEvent } from "./sse-event.ts";
import { bodyObject, payloadObjects, providerCall, texts } from "./testing/provider-call.ts";

const question: JsonObject = { max_tokens: 100, messages: [{ role: "user", content: "Hi" }] };
const usage = create(UsageSchema, { inputTokens: 10n, outputTokens: 20n, cacheReadTokens: 5n, reasoningTokens: 7n });

/** A chat provider that passes everything through and reports fixed usage. */
function chatProvider(upstream: Partial<ChatProvider["upstream"]> = {}): ChatProvider {
  const begin = (call: ProviderCall): Exchange => ({
    request: { method: "POST", url: "http://h", headers: { ...call.headers }, body: call.body },
    decodeBody: (body) => body,
    decodeEvents: (events) => [...events],
    finish: () => [dataEvent("[DONE]")],
    outcome: () => ({ usage, finishReason: "stop", responseModel: "m", responseId: "c1" }),
  });
  return { id: "fake", upstream: { outputLimitField: "max_tokens", ...upstream }, begin };
}

function begin(
  body: JsonObject,
  changes: Partial<ProviderCall> = {},
  provider: ChatProvider = chatProvider(),
): Exchange {
  const call = providerCall(
    { model: "claude", ...body },
    { operation: Operation.MESSAGES, model: "gpt-5", ...changes },
  );
  return createMessagesOverChat(call, provider);
}

const requestOf = (body: JsonObject, changes?: Partial<ProviderCall>, provider?: ChatProvider) =>
  bodyObject(begin({ ...question, ...body }, changes, provider).request.body);

function chunk(delta: JsonObject, finish: string | null = null): Uint8Array {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  return dataEvent(JSON.stringify({ id: "c1", object: "chat.completion.chunk", model: "gpt-5", choices }));
}

const callChunk = (index: number, id: string | undefined, name: string | undefined, text: string): Uint8Array =>
  chunk({ tool_calls: [JSON.parse(JSON.stringify({ index, id, function: { name, arguments: text } }))] });

test("the request's parameters", () => {
  const tool = { name: "f", description: "d", input_schema: { type: "object" }, cache_control: { type: "ephemeral" } };
  const fn = { type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } };
  const format = { type: "json_schema", schema: { type: "object" } };
  const cases: readonly [JsonObject, JsonObject, Partial<ProviderCall>?][] = [
    [{}, {}],
    [
      { stop_sequences: ["x"], temperature: 0.1, top_k: 3 },
      { stop: ["x"], temperature: 0.1, top_k: 3 },
    ],
    [{ top_k: 3, container: "c" }, {}, { dropParams: true }],
    [
      { metadata: { user_id: "u" }, service_tier: "standard_only" },
      { user: "u", service_tier: "default" },
    ],
    [
      { tools: [tool], tool_choice: { type: "any" } },
      { tools: [fn], tool_choice: "required" },
    ],
    [
      { tools: [tool], tool_choice: { type: "tool", name: "f", disable_parallel_tool_use: true } },
      { tools: [fn], tool_choice: { type: "function", function: { name: "f" } }, parallel_tool_calls: false },
    ],
    [{ thinking: { type: "enabled", budget_tokens: 31_999 } }, { reasoning_effort: "high" }],
    [{ thinking: { type: "enabled", budget_tokens: 1024 } }, { reasoning_effort: "low" }],
    [{ thinking: { type: "adaptive" }, output_config: { effort: "max" } }, { reasoning_effort: "xhigh" }],
    [{ thinking: { type: "disabled" } }, {}],
    [{ thinking: { type: "adaptive" } }, {}, { model: "gpt-4o" }],
    [
      {
        tools: [tool, { type: "web_search_20250305", name: "web_search" }],
        tool_choice: { type: "tool", name: "web_search" },
      },
      { tools: [fn] },
    ],
    [{ thinking: { type: "adaptive" } }, {}, { model: "gpt-4o", dropParams: true }],
    [
      { output_config: { format } },
      {
        response_format: {
          type: "json_schema",
          json_schema: { name: "answer", schema: { type: "object" }, strict: true },
        },
      },
    ],
    [{ cache_control: { type: "ephemeral" }, context_management: {} }, {}],
  ];
  for (const [body, expected, changes] of cases) {
    const basis = { model: changes?.model ?? "gpt-5", messages: [{ role: "user", content: "Hi" }], max_tokens: 100 };
    deepStrictEqual(requestOf(body, changes), { ...basis, ...expected }, JSON.stringify(body));
  }
  const long = requestOf({ metadata: { user_id: "u".repeat(100) } }).user;
  ok(typeof long === "string" && long.length === 64);
  strictEqual(
    requestOf({}, {}, chatProvider({ outputLimitField: "max_completion_tokens" })).max_completion_tokens,
    100,
  );
});

test("what a chat upstream cannot do is refused by name", () => {
  const content = (block: JsonObject): JsonObject => ({ messages: [{ role: "user", content: [block] }] });
  const cases: readonly [string, JsonObject, string?][] = [
    ["container", { container: "c" }],
    ["tools", { tools: [{ type: "web_search_20250305", name: "web_search" }] }],
    ["messages", content({ type: "container_upload", file_id: "f" })],
    ["messages", content({ type: "document", source: { type: "url", url: "https://h" } })],
    ["messages", { messages: [{ role: "robot", content: "" }] }],
  ];
  for (const [param, body, model] of cases) {
    try {
      requestOf(body, { model: model ?? "gpt-5" });
      ok(false, `${param} was accepted`);
    } catch (error) {
      ok(error instanceof ConnectError, String(error));
      strictEqual(findGatewayError(error)?.param, param);
    }
  }
});

test("the request's messages", () => {
  const mark = { type: "ephemeral" };
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBO" } };
  const pdf = {
    type: "document",
    title: "a.pdf",
    source: { type: "base64", media_type: "application/pdf", data: "JVBE" },
  };
  const part = { type: "image_url", image_url: { url: "data:image/png;base64,iVBO" } };
  const body: JsonObject = {
    system: [
      { type: "text", text: "A", cache_control: mark },
      { type: "text", text: "B" },
    ],
    messages: [
      { role: "user", content: [{ type: "text", text: "Look", cache_control: mark }, image, pdf] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Hm", signature: "s" },
          { type: "text", text: "Calling" },
          { type: "tool_use", id: "t1", name: "f", input: { x: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "one" }, image] },
          { type: "text", text: "Go on" },
        ],
      },
    ],
  };
  const call = { id: "t1", type: "function", function: { name: "f", arguments: '{"x":1}' } };
  const file = { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBE" } };
  const expected: JsonValue = [
    { role: "system", content: "A\nB" },
    { role: "user", content: [{ type: "text", text: "Look" }, part, file] },
    { role: "assistant", content: "Calling", tool_calls: [call] },
    { role: "tool", tool_call_id: "t1", content: "one" },
    { role: "user", content: [part, { type: "text", text: "Go on" }] },
  ];
  deepStrictEqual(requestOf(body).messages, expected);
  const rich = objectsOf(
    requestOf(body, {}, chatProvider({ keepsCacheControl: true, reasoningField: "reasoning" })).messages,
  );
  deepStrictEqual(objectsOf(rich[0]?.content)[0]?.cache_control, mark);
  strictEqual(rich[2]?.reasoning, "Hm");
});

test("an answer becomes a message", () => {
  const call = { id: "t1", type: "function", function: { name: "f", arguments: '{"x":1}' } };
  const cases: readonly [JsonObject, string, JsonValue, string][] = [
    [{ content: "Hi" }, "stop", [{ type: "text", text: "Hi" }], "end_turn"],
    [{ content: "Hi" }, "length", [{ type: "text", text: "Hi" }], "max_tokens"],
    [
      { content: null, tool_calls: [call] },
      "stop",
      [{ type: "tool_use", id: "t1", name: "f", input: { x: 1 } }],
      "tool_use",
    ],
    [
      { content: "", reasoning_content: "Hm" },
      "stop",
      [{ type: "thinking", thinking: "Hm", signature: "" }],
      "end_turn",
    ],
    [{ content: null, refusal: "No" }, "stop", [{ type: "text", text: "No" }], "refusal"],
  ];
  for (const [message, finish_reason, content, stop] of cases) {
    const completion = { id: "c1", model: "gpt-5", choices: [{ message, finish_reason }] };
    const answer = bodyObject(begin(question).decodeBody(Buffer.from(JSON.stringify(completion))));
    deepStrictEqual(answer, {
      id: "c1",
      type: "message",
      role: "assistant",
      model: "gpt-5",
      content,
      stop_reason: stop,
      stop_sequence: null,
      usage: {
        input_tokens: 10,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 5,
        output_tokens: 20,
        output_tokens_details: { thinking_tokens: 7 },
      },
    });
  }
});

const chunks = [
  chunk({ role: "assistant", content: "" }),
  chunk({ reasoning_content: "Hm" }),
  chunk({ content: "Call" }),
  chunk({ content: [{ type: "text", text: "ing" }] }),
  callChunk(0, "t1", "f", ""),
  callChunk(0, undefined, undefined, '{"x":'),
  callChunk(0, undefined, undefined, "1}"),
  callChunk(1, "t2", "g", "{}"),
  chunk({}, "tool_calls"),
];

test("a stream's events come in Anthropic's order", () => {
  const exchange = begin(question, { stream: true });
  const payloads = [...chunks.flatMap((event) => exchange.decodeEvents([event])), ...exchange.finish()];
  const names = payloadObjects(payloads).map(({ type, index }) =>
    index === undefined ? type : `${String(type)} ${String(index)}`,
  );
  deepStrictEqual(names, [
    "message_start",
    "content_block_start 0",
    "content_block_delta 0",
    "content_block_stop 0",
    "content_block_start 1",
    "content_block_delta 1",
    "content_block_delta 1",
    "content_block_stop 1",
    "content_block_start 2",
    "content_block_delta 2",
    "content_block_delta 2",
    "content_block_stop 2",
    "content_block_start 3",
    "content_block_delta 3",
    "content_block_stop 3",
    "message_delta",
    "message_stop",
  ]);
  ok(texts(payloads).every((text) => /^event: (\w+)\ndata: \{"type":"\1".*\}\n\n$/.test(text)));
});

test("Anthropic's own client gathers the stream", async () => {
  const exchange = begin(question, { stream: true });
  const payloads = payloadObjects([...exchange.decodeEvents(chunks), ...exchange.finish()]);
  const body = new ReadableStream({
    start(controller) {
      for (const event of payloads) controller.enqueue(Buffer.from(`${JSON.stringify(event)}\n`));
      controller.close();
    },
  });
  const message = await MessageStream.fromReadableStream(body).finalMessage();
  strictEqual(message.stop_reason, "tool_use");
  deepStrictEqual(JSON.parse(JSON.stringify(message.content)), [
    { type: "thinking", thinking: "Hm", signature: "" },
    { type: "text", text: "Calling" },
    { type: "tool_use", id: "t1", name: "f", input: { x: 1 } },
    { type: "tool_use", id: "t2", name: "g", input: {} },
  ]);
  deepStrictEqual([message.usage.input_tokens, message.usage.output_tokens], [10, 20]);
});

test("calls that share the index 0 are told apart by their ids, and calls out of order fail", () => {
  const exchange = begin(question, { stream: true });
  const payloads = exchange.decodeEvents([callChunk(0, "a", "f", "{}"), callChunk(0, "b", "g", "{}")]);
  strictEqual(payloadObjects(payloads).filter(({ type }) => type === "content_block_start").length, 2);
  const mixed = begin(question, { stream: true });
  mixed.decodeEvents([callChunk(0, "a", "f", "{"), callChunk(1, "b", "g", "{")]);
  try {
    mixed.decodeEvents([callChunk(0, undefined, undefined, "}")]);
    ok(false, "was accepted");
  } catch (error) {
    ok(error instanceof ConnectError, String(error));
    deepStrictEqual([findUpstreamError(error)?.httpStatus, findUpstreamError(error)?.provider], [502, "fake"]);
  }
});

test("Anthropic's headers stay here", () => {
  const { request } = begin(question, { headers: { "anthropic-version": "x", "anthropic-beta": "y", "x-own": "z" } });
  deepStrictEqual(request.headers, { "x-own": "z" });
});

test("a real chat provider underneath: its path, its output limit, and usage that only it asked for", () => {
  const openai = createOpenAiCompatibleProviders().find(({ id }) => id === "openai");
  ok(openai !== undefined);
  const call = providerCall(
    { model: "x", ...question },
    { operation: Operation.MESSAGES, model: "gpt-5", stream: true },
  );
  const exchange = openai.begin(call);
  strictEqual(exchange.request.url, "https://api.openai.com/v1/chat/completions");
  deepStrictEqual(bodyObject(exchange.request.body), {
    model: "gpt-5",
    messages: [{ role: "user", content: "Hi" }],
    max_completion_tokens: 100,
    stream: true,
    stream_options: { include_usage: true },
  });
  const tokens = {
    prompt_tokens: 11,
    completion_tokens: 4,
    total_tokens: 15,
    prompt_tokens_details: { cached_tokens: 8 },
  };
  const last = dataEvent(JSON.stringify({ id: "c1", model: "gpt-5", choices: [], usage: tokens }));
  const end = dataEvent("[DONE]");
  const payloads = [
    ...exchange.decodeEvents([chunk({ content: "Hi" }), chunk({}, "stop"), last, end]),
    ...exchange.finish(),
  ];
  const closing = payloadObjects(payloads).at(-2);
  deepStrictEqual(closing?.usage, {
    input_tokens: 3,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 8,
    output_tokens: 4,
  });
  strictEqual(exchange.outcome().usage.outputTokens, 4n);
});
