import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { openAiRows } from "#catalog/catalog.ts";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Outcome, ProviderCall } from "../../provider.ts";
import { SseSplitter } from "../../sse.ts";
import { createOpenAiExchange } from "./exchange.ts";
import type { ProviderRow } from "./provider-row.ts";

function rowOf(id: string): ProviderRow {
  const row = openAiRows().find((candidate) => candidate.id === id);
  assert.ok(row, id);
  return row;
}

function exchangeOf(provider: string, changes: Partial<ProviderCall> = {}): Exchange {
  return createOpenAiExchange(rowOf(provider), {
    operation: Operation.CHAT_COMPLETIONS,
    stream: true,
    model: "gpt-4o",
    body: Buffer.from('{"model":"group","messages":[],"stream":true}'),
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: new Secret("key"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1_700_000_000,
    ...changes,
  });
}

function fixture(name: string): Buffer {
  return readFileSync(new URL(`../__fixtures__/${name}`, import.meta.url));
}

/** The stream as the client gets it. */
function run(exchange: Exchange, stream: Uint8Array, pieceBytes = stream.length): string {
  const splitter = new SseSplitter();
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += pieceBytes) {
    payloads.push(...exchange.decodeEvents(splitter.push(stream.subarray(at, at + pieceBytes))));
  }
  return Buffer.concat([...payloads, ...exchange.finish()]).toString();
}

/** The counts as one line: fresh input, output, cache read, cache write, reasoning, tool calls. */
function counts({ usage }: Outcome): string {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens, toolCalls } = usage;
  return `${inputTokens} ${outputTokens} ${cacheReadTokens} ${cacheWriteTokens} ${reasoningTokens} ${toolCalls}${usage.estimated ? " estimated" : ""}`;
}

const bodies: [string, Partial<ProviderCall> & { provider?: string; text: string }, string][] = [
  [
    "only the model differs",
    { stream: false, text: '{ "model": "g", "x": 1e400 }' },
    '{ "model": "gpt-4o", "x": 1e400 }',
  ],
  ["usage is asked for", { text: '{"model":"g"}' }, '{"model":"gpt-4o","stream_options":{"include_usage":true}}'],
  [
    "and other stream options stay",
    { text: '{"model":"g","stream_options":{"include_usage":false,"include_obfuscation":false}}' },
    '{"model":"gpt-4o","stream_options":{"include_usage":true,"include_obfuscation":false}}',
  ],
  ["not where usage comes unasked", { provider: "mistral", text: '{"model":"g"}' }, '{"model":"gpt-4o"}'],
  [
    "a deployment's defaults",
    { stream: false, text: '{"model":"g","a":1}', defaultParams: { a: 2, b: [3], model: "no" } },
    '{"model":"gpt-4o","a":1,"b":[3]}',
  ],
  [
    "a cap where there is no limit",
    { stream: false, text: '{"model":"g"}', outputTokenCap: 9 },
    '{"model":"gpt-4o","max_tokens":9}',
  ],
  [
    "a cap below the limit",
    { stream: false, text: '{"model":"g","max_completion_tokens":50}', outputTokenCap: 9 },
    '{"model":"gpt-4o","max_completion_tokens":9}',
  ],
  [
    "a cap above the limit",
    { stream: false, text: '{"model":"g","max_tokens":5}', outputTokenCap: 9 },
    '{"model":"gpt-4o","max_tokens":5}',
  ],
  [
    "a limit that is none",
    { stream: false, text: '{"model":"g","max_tokens":-1}', outputTokenCap: 9 },
    '{"model":"gpt-4o","max_tokens":9}',
  ],
  [
    "a duplicate limit",
    { stream: false, text: '{"model":"g","max_tokens":5,"max_tokens":99}', outputTokenCap: 9 },
    '{"model":"gpt-4o","max_tokens":9,"max_tokens":9}',
  ],
  [
    "a default limit is capped",
    { stream: false, text: '{"model":"g"}', defaultParams: { max_tokens: 99 }, outputTokenCap: 9 },
    '{"model":"gpt-4o","max_tokens":9}',
  ],
  [
    "a cap on responses",
    { operation: Operation.RESPONSES, text: '{"model":"g"}', outputTokenCap: 9 },
    '{"model":"gpt-4o","max_output_tokens":9}',
  ],
  [
    "a reasoning model's limit",
    { stream: false, model: "o3-mini", text: '{"max_tokens":5,"model":"g"}' },
    '{"model":"o3-mini","max_completion_tokens":5}',
  ],
  [
    "and its cap",
    { stream: false, model: "gpt-5", text: '{"model":"g"}', outputTokenCap: 9 },
    '{"model":"gpt-5","max_completion_tokens":9}',
  ],
  [
    "a renamed limit",
    { provider: "mistral", text: '{"model":"g","max_completion_tokens":5}' },
    '{"model":"gpt-4o","max_tokens":5}',
  ],
  [
    "a parameter to drop",
    { provider: "groq", dropParams: true, text: '{"model":"g","logprobs":true}' },
    '{"model":"gpt-4o"}',
  ],
  [
    "unless it is allowed",
    { provider: "groq", dropParams: true, allowedParams: ["logprobs"], text: '{"model":"g","logprobs":true}' },
    '{"model":"gpt-4o","logprobs":true}',
  ],
];

test("the body differs where it has to, and nowhere else", () => {
  for (const [name, { provider = "openai", text, ...changes }, expected] of bodies) {
    const exchange = exchangeOf(provider, { ...changes, body: Buffer.from(text) });
    assert.equal(Buffer.from(exchange.request.body).toString(), expected, name);
  }
});

test("the address and the headers", () => {
  const own = exchangeOf("openai", {
    headers: { "openai-organization": "org", "content-length": "3", "anthropic-beta": "x" },
  });
  assert.equal(own.request.url, "https://api.openai.com/v1/chat/completions");
  assert.deepEqual(own.request.headers, {
    accept: "text/event-stream",
    authorization: "Bearer key",
    "openai-organization": "org",
    "content-type": "application/json",
  });
  const other = exchangeOf("openai", { baseUrl: "http://vllm/v1", credential: undefined });
  assert.equal(other.request.url, "http://vllm/v1/chat/completions");
  assert.equal(other.request.headers.authorization, undefined);
  for (const baseUrl of ["http://host:11434", "http://host:11434/v1"]) {
    const { url } = exchangeOf("ollama", { baseUrl, credential: undefined }).request;
    assert.equal(url, "http://host:11434/v1/chat/completions");
  }
});

test("a call that cannot be made is refused before it is sent", () => {
  const refusals: [string, Partial<ProviderCall>, RegExp][] = [
    ["groq", { operation: Operation.EMBEDDINGS }, /does not offer/],
    ["openai", { credential: undefined }, /OPENAI_API_KEY/],
    ["openai", { credential: new Secret("two\nlines") }, /no header can carry/],
    ["openai", { body: Buffer.from("[]") }, /not a JSON object/],
  ];
  for (const [provider, changes, message] of refusals) assert.throws(() => exchangeOf(provider, changes), message);
});

const asked = Buffer.from('{"model":"g","stream":true,"stream_options":{"include_usage":true}}');
const streams: [string, string, Partial<ProviderCall>, (text: string) => string, string, string][] = [
  [
    "openai/chat.sse",
    "openai",
    {},
    (text) => text.replace(/data: [^\n]*"choices":\[\][^\n]*\n\n/, ""),
    "8 9 12 0 4 0",
    "stop",
  ],
  ["openai/chat.sse", "openai", { body: asked }, (text) => text, "8 9 12 0 4 0", "stop"],
  ["groq/chat.sse", "groq", {}, (text) => text, "20 2 0 0 0 0", "stop"],
  ["openrouter/chat.sse", "openrouter", {}, (text) => text.replaceAll(/: OPEN.*\n\n/g, ""), "9 2 5 6 0 2", "stop"],
  ["ollama/chat.sse", "ollama", {}, (text) => text, "0 2 0 0 0 0 estimated", "stop"],
  ["openai/responses.sse", "openai", { operation: Operation.RESPONSES }, (text) => text, "8 2 3 0 0 1", "stop"],
];

test("streams pass through, however they are cut, and their usage is read", () => {
  for (const [file, provider, changes, clientSees, usage, finish] of streams) {
    const stream = fixture(file);
    for (const pieceBytes of [stream.length, 1, 7, 300]) {
      const exchange = exchangeOf(provider, changes);
      assert.equal(run(exchange, stream, pieceBytes), clientSees(stream.toString()), `${file} by ${pieceBytes}`);
      const outcome = exchange.outcome();
      assert.equal(counts(outcome), usage, file);
      assert.equal(outcome.finishReason, finish, file);
      assert.match(outcome.responseId, /handmade/);
    }
  }
});

const chunk = (fields: string) =>
  `data: {"id":"i","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]${fields}}\n\n`;
const broken: [string, string, Operation, RegExp][] = [
  ["nothing", "", Operation.CHAT_COMPLETIONS, /before the answer was complete/],
  ["cut short", chunk(""), Operation.CHAT_COMPLETIONS, /before the answer was complete/],
  ["garbage", `${chunk("")}data: <html>\n\n`, Operation.CHAT_COMPLETIONS, /no JSON object/],
  ["half an object", 'data: {"id":"i"\n\n', Operation.CHAT_COMPLETIONS, /no JSON object/],
  ["an error", `${chunk("")}data: {"error":{"message":"overloaded"}}\n\n`, Operation.CHAT_COMPLETIONS, /overloaded/],
  [
    "an error beside a choice",
    fixture("openrouter/error.sse").toString(),
    Operation.CHAT_COMPLETIONS,
    /Provider returned/,
  ],
  ["a named error", fixture("groq/error.sse").toString(), Operation.CHAT_COMPLETIONS, /Tool choice/],
  ["an object that is an error", 'data: {"object":"error","message":"no"}\n\n', Operation.CHAT_COMPLETIONS, /no/],
  [
    "responses cut short",
    'event: response.created\ndata: {"type":"response.created"}\n\n',
    Operation.RESPONSES,
    /before/,
  ],
  [
    "an error event",
    'event: error\ndata: {"type":"error","code":"server_error","message":"bad"}\n\n',
    Operation.RESPONSES,
    /bad/,
  ],
];

test("a broken stream ends with an error and never with a clean stop", () => {
  for (const [name, stream, operation, message] of broken) {
    assert.throws(() => run(exchangeOf("openai", { operation }), Buffer.from(stream)), message, name);
  }
});

test("an error in a stream keeps its status", () => {
  for (const [file, status, retryable] of [
    ["openrouter/error.sse", 502, true],
    ["groq/error.sse", 400, false],
  ] as const) {
    try {
      run(exchangeOf("groq"), fixture(file));
      assert.fail(file);
    } catch (error) {
      const detail = findUpstreamError(ConnectError.from(error));
      assert.deepEqual([detail?.httpStatus, detail?.retryable], [status, retryable], file);
    }
  }
});

test("a finish reason without [DONE] is a whole answer, and what is behind [DONE] is not passed on", () => {
  const finish = 'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n';
  assert.equal(run(exchangeOf("openai"), Buffer.from(finish)), `${finish}data: [DONE]\n\n`);
  const exchange = exchangeOf("openai");
  assert.equal(run(exchange, Buffer.from(`${finish}data: [DONE]\n\n${chunk("")}`)), `${finish}data: [DONE]\n\n`);
  assert.equal(exchange.progress, "closed");
});

test("a stream that is left early is estimated", () => {
  const exchange = exchangeOf("openai");
  const events = ["", "a".repeat(400), "b"].map((text) =>
    Buffer.from(`data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`),
  );
  exchange.decodeEvents(events);
  assert.equal(counts(exchange.outcome()), "0 101 0 0 0 0 estimated");
});

const answers: [string, string, Operation, string, string][] = [
  ["openai/chat.json", "openai", Operation.CHAT_COMPLETIONS, "8 9 12 0 0 0", "tool_calls"],
  ["openai/embeddings.json", "openai", Operation.EMBEDDINGS, "5 0 0 0 0 0", ""],
  ["deepseek/chat.json", "deepseek", Operation.CHAT_COMPLETIONS, "4 2 16 0 0 0", "stop"],
  ["mistral/chat.json", "mistral", Operation.CHAT_COMPLETIONS, "12 2 8 0 0 0", "length"],
];

test("whole answers pass through, and their usage is read", () => {
  for (const [file, provider, operation, usage, finish] of answers) {
    const body = fixture(file);
    const exchange = exchangeOf(provider, { operation, stream: false });
    assert.equal(exchange.decodeBody(body), body, file);
    assert.equal(counts(exchange.outcome()), usage, file);
    assert.equal(exchange.outcome().finishReason, finish, file);
  }
});

test("a 2xx answer that is none is an error", () => {
  const cases: [string, RegExp][] = [
    ["", /no JSON object/],
    ["<html>", /no JSON object/],
    ['{"choices":[', /no JSON object/],
    ["{}", /no "choices"/],
    ['{"error":{"message":"quota","code":429}}', /quota/],
  ];
  for (const [body, message] of cases) {
    assert.throws(() => exchangeOf("openai").decodeBody(Buffer.from(body)), message, body);
  }
});
