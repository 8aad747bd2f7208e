import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { openAiRows } from "#catalog/catalog.ts";
import type { OpenAiRow } from "#catalog/provider-row.ts";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind as Kind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { chatRequests } from "../../testing/conformance-cases.ts";
import { without } from "../../translate/json-reading.ts";
import { createOpenAiCompatibleProvider } from "./provider.ts";

/** Every row of the catalog that speaks OpenAI's format, through every case. Requests and answers are made by hand. */
const rows = openAiRows();
const chats = rows.filter(({ paths }) => paths.chat_completions !== undefined);

/** Rows without a chat, with the reason. A row that is neither here nor has a chat fails. */
const withoutChat: Readonly<Record<string, string>> = {
  "text-completion-openai": "LiteLLM's prefix for the legacy completions alone",
  chatgpt: "the backend of Codex speaks the responses API alone",
  infinity: "a server of embeddings and ranks",
};

test("every row has a chat, or a reason why not", () => {
  const missing = rows.filter(({ id, paths }) => paths.chat_completions === undefined && withoutChat[id] === undefined);
  assert.deepEqual(
    missing.map(({ id }) => id),
    [],
  );
});

function begin(row: OpenAiRow, body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  return createOpenAiCompatibleProvider(row).begin({
    operation: Operation.CHAT_COMPLETIONS,
    stream: body.stream === true,
    model: "vendor/model-1",
    body: Buffer.from(JSON.stringify({ model: "group", ...body })),
    contentType: "application/json",
    baseUrl: row.base_url === undefined ? "https://own.test/v1" : "",
    settings: Object.fromEntries(row.settings.map(({ name }) => [name, "value"])),
    credential: new Secret("key"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    callId: "call",
    createdAt: 1_700_000_000,
    ...changes,
  });
}

function sent(exchange: Exchange): JsonObject {
  return JSON.parse(Buffer.from(exchange.request.body).toString());
}

/** What a client sends, case by case. The output limit, which rows rename, has a test of its own. */
const requests: Readonly<Record<string, JsonObject>> = {
  ...chatRequests,
  text: without(chatRequests.text, "max_tokens"),
  stream: { messages: chatRequests.tools.messages ?? [], stream: true },
};

const user = { role: "user", content: "What is the weather in Paris?" };
const toolCall = (id: string) => ({
  id,
  type: "function",
  function: { name: "weather", arguments: '{"city":"Paris"}' },
});

test("every request reaches every provider whole, or is refused by the parameter's name", () => {
  for (const row of chats) {
    for (const [name, body] of Object.entries(requests)) {
      const refused = row.unsupported_params.find((param) => param.name in body && param.models === undefined);
      if (refused !== undefined) {
        assert.throws(() => begin(row, body), new RegExp(`does not support ${refused.name}`), `${row.id}: ${name}`);
      }
      const exchange = begin(row, body, { dropParams: true });
      assert.ok(URL.canParse(exchange.request.url) && !/[{}]/.test(exchange.request.url), exchange.request.url);
      assert.ok(exchange.request.headers[row.key_header]?.endsWith("key"), row.id);
      const { model, stream_options, ...rest } = sent(exchange);
      assert.ok(typeof model === "string" && model.endsWith("model-1"), row.id);
      assert.deepEqual(
        stream_options,
        body.stream && row.stream_usage === "option" ? { include_usage: true } : undefined,
      );
      assert.deepEqual(rest, expectedBody(row, body), `${row.id}: ${name}`);
    }
  }
});

/** The body without what the row takes out, and with what it sets. */
function expectedBody(row: OpenAiRow, body: JsonObject): JsonObject {
  const dropped = new Set(
    row.unsupported_params.filter(({ models }) => models?.test("vendor/model-1") !== false).map(({ name }) => name),
  );
  const replaced = Object.fromEntries(
    row.replacements.filter(({ field, from }) => body[field] === from).map(({ field, to }) => [field, to]),
  );
  return { ...without({ ...body, ...replaced }, ...dropped), ...row.fixed };
}

test("an output limit reaches every provider in a field that it knows, lowered where a budget says so", () => {
  for (const row of chats) {
    for (const field of ["max_tokens", "max_completion_tokens"]) {
      const {
        model: _,
        messages: __,
        ...rest
      } = sent(begin(row, { messages: [user], [field]: 50 }, { outputTokenCap: 9 }));
      const to = row.renames.find(({ from, models }) => from === field && models === undefined)?.to ?? field;
      assert.deepEqual(rest, { [to]: 9, ...row.fixed }, row.id);
    }
  }
});

const usage = {
  prompt_tokens: 20,
  completion_tokens: 7,
  total_tokens: 27,
  prompt_tokens_details: { cached_tokens: 5 },
  completion_tokens_details: { reasoning_tokens: 3 },
};
const head = { id: "chat-1", object: "chat.completion", created: 1, model: "vendor/model-1" };
const answer = (message: JsonObject, finish_reason: string): JsonObject => ({
  ...head,
  choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason }],
  usage,
});
const answers: [name: string, body: JsonObject, finish: string][] = [
  ["text", answer({ content: "Sunny." }, "stop"), "stop"],
  ["tools", answer({ content: null, tool_calls: [toolCall("a")] }, "tool_calls"), "tool_calls"],
  ["parallel tools", answer({ content: null, tool_calls: [toolCall("a"), toolCall("b")] }, "tool_calls"), "tool_calls"],
  ["reasoning", answer({ content: "Sunny.", reasoning_content: "Hm." }, "stop"), "stop"],
  ["JSON schema", answer({ content: '{"sky":"sunny"}' }, "length"), "length"],
];

test("every whole answer reaches the client as it is, with its usage", () => {
  for (const row of chats) {
    for (const [name, body, finish] of answers) {
      const exchange = begin(row, { messages: [user] });
      const bytes = Buffer.from(JSON.stringify(body));
      assert.deepEqual(exchange.decodeBody(bytes), bytes);
      assertOutcome(exchange, finish, `${row.id}: ${name}`);
    }
  }
});

function assertOutcome(exchange: Exchange, finish: string, name: string): void {
  const { usage: read, finishReason, responseModel } = exchange.outcome();
  const counts = [read.inputTokens, read.cacheReadTokens, read.outputTokens, read.reasoningTokens, read.estimated];
  assert.deepEqual(counts, [15n, 5n, 7n, 3n, false], name);
  assert.deepEqual([finishReason, responseModel], [finish, "vendor/model-1"], name);
}

const event = (value: JsonValue) => Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
const delta = (fields: JsonObject, finish_reason: string | null = null) =>
  event({ ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta: fields, finish_reason }] });
const usageEvent = event({ ...head, object: "chat.completion.chunk", choices: [], usage });
const done = Buffer.from("data: [DONE]\n\n");
const streams: [name: string, events: Buffer[], finish: string][] = [
  ["text", [delta({ role: "assistant", content: "Sun" }), delta({ content: "ny." }), delta({}, "stop")], "stop"],
  ["tools", [delta({ tool_calls: [{ index: 0, ...toolCall("a") }] }), delta({}, "tool_calls")], "tool_calls"],
  [
    "parallel tools",
    [
      delta({ tool_calls: [{ index: 0, ...toolCall("a") }] }),
      delta({ tool_calls: [{ index: 1, ...toolCall("b") }] }),
      delta({}, "tool_calls"),
    ],
    "tool_calls",
  ],
  ["reasoning", [delta({ reasoning_content: "Hm." }), delta({ content: "Sunny." }), delta({}, "stop")], "stop"],
];

test("every stream reaches the client as it is, with its usage", () => {
  for (const row of chats) {
    for (const [name, events, finish] of streams) {
      const exchange = begin(row, { messages: [user], stream: true });
      const payloads = [...exchange.decodeEvents([...events, usageEvent, done]), ...exchange.finish()];
      const seen = row.stream_usage === "option" ? [...events, done] : [...events, usageEvent, done];
      assert.deepEqual(Buffer.concat(payloads).toString(), Buffer.concat(seen).toString(), `${row.id}: ${name}`);
      assertOutcome(exchange, finish, `${row.id}: ${name}`);
    }
  }
});

const failures: [status: number, kind: Kind, retryable: boolean][] = [
  [400, Kind.BAD_REQUEST, false],
  [401, Kind.AUTHENTICATION, false],
  [404, Kind.NOT_FOUND, false],
  [429, Kind.RATE_LIMITED, true],
  [500, Kind.INTERNAL, true],
  [503, Kind.UNAVAILABLE, true],
];

test("every failure keeps its status and message", () => {
  for (const row of rows) {
    const provider = createOpenAiCompatibleProvider(row);
    for (const [status, kind, retryable] of failures) {
      const body = Buffer.from(JSON.stringify({ error: { message: "told", type: "t", code: null } }));
      const init = provider.classifyError(status, { "retry-after": "2" }, body);
      assert.deepEqual(
        [init.kind, init.httpStatus, init.retryable, init.message, init.provider],
        [kind, status, retryable, "told", row.id],
      );
      if (status === 429) assert.equal(init.retryAfterMs, 2000);
    }
  }
});

test("garbage, an error in an answer and a stream that is cut are errors; a call that is left has an estimate", () => {
  const isUpstream = (error: unknown) => error instanceof ConnectError && findUpstreamError(error)?.retryable === true;
  for (const row of chats) {
    const whole = begin(row, { messages: [user] });
    for (const body of ["<html>", "[]", "{}", '{"choices":[]}', '{"choices":']) {
      assert.throws(() => whole.decodeBody(Buffer.from(body)), isUpstream, `${row.id}: ${body}`);
    }
    const stream = () => begin(row, { messages: [user], stream: true });
    assert.throws(() => stream().decodeEvents([Buffer.from("data: {nonsense\n\n")]), isUpstream, row.id);
    assert.throws(() => stream().decodeEvents([event({ error: { message: "busy", code: 503 } })]), /busy/, row.id);
    const cut = stream();
    assert.equal(cut.decodeEvents([delta({ content: "Sun" })]).length, 1);
    assert.throws(() => cut.finish(), isUpstream, row.id);
    assert.equal(cut.outcome().usage.estimated, true, row.id);
  }
});

test("Anthropic's messages reach every provider as a chat, and come back as messages", () => {
  for (const row of chats) {
    const body = {
      max_tokens: 100,
      messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }],
      stream: true,
    };
    const exchange = begin(row, body, { operation: Operation.MESSAGES });
    assert.ok(Array.isArray(sent(exchange).messages), row.id);
    const events = [delta({ role: "assistant", content: "Sunny." }), delta({}, "stop"), usageEvent, done];
    const text = Buffer.concat([...exchange.decodeEvents(events), ...exchange.finish()]).toString();
    for (const name of ["message_start", "content_block_delta", "message_delta", "message_stop"]) {
      assert.match(text, new RegExp(`event: ${name}\n`), row.id);
    }
    assert.match(text, /Sunny\./);
    assert.match(text, /"stop_reason":"end_turn"/);
  }
});
