import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { type Chunking, type ScriptedAnswer, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { UpstreamErrorKind as Kind, Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type CallSettings, startAdapter } from "../testing/adapter-under-test.ts";

const upstream = await startFakeUpstream();
const limits = { connectTimeoutMs: 1000, maxBodyBytes: 100_000, maxEventBytes: 10_000 };
const adapter = startAdapter(limits);
const impatient = startAdapter({ ...limits, idleTimeoutMs: 100 });
after(async () => {
  await upstream.close();
  await adapter.close();
  await impatient.close();
});

const key = "sk-a-key-that-must-not-leak-0123456789";
const sse = { "content-type": "text/event-stream" };
const json = { "content-type": "application/json" };

function fixture(name: string): string {
  return readFileSync(new URL(`../providers/__fixtures__/${name}`, import.meta.url), "utf8");
}

function call(answer: ScriptedAnswer, changes: Partial<CallSettings> = {}, by = adapter) {
  upstream.answer(answer);
  return by.call({
    ...changes,
    target: {
      provider: "openai",
      model: "gpt-4o",
      baseUrl: `${upstream.url}/v1`,
      sealedCredential: adapter.seal(key),
      ...changes.target,
    },
  });
}

test("a whole answer: one head, one last chunk, one end", async () => {
  const body = fixture("openai/chat.json");
  const headers = { ...json, "x-request-id": "req-1", "x-ratelimit-remaining-requests": "9", "set-cookie": "no" };
  const answer = await call({ headers, body }, { headers: { "OpenAI-Project": "p", Authorization: "Bearer other" } });
  assert.equal(answer.error, undefined);
  assert.equal(answer.text, body);
  assert.deepEqual(answer.lasts, [true]);
  assert.equal(answer.started?.contentType, "application/json");
  assert.equal(answer.started?.deployment, "deployment-1");
  assert.deepEqual(answer.started?.headers, {
    "llm_provider-x-request-id": "req-1",
    "llm_provider-x-ratelimit-remaining-requests": "9",
    "x-ratelimit-remaining-requests": "9",
  });
  assert.equal(answer.finished?.usage?.cacheReadTokens, 12n);
  assert.ok((answer.finished?.timing?.upstreamTotalUs ?? 0n) > 0n);
  const sent = upstream.requests.at(-1);
  assert.equal(sent?.url, "/v1/chat/completions");
  assert.equal(sent?.headers.authorization, `Bearer ${key}`);
  assert.equal(sent?.headers["openai-project"], "p");
  assert.equal(sent?.headers["accept-encoding"], "identity");
});

test("a stream: the closing event is a last chunk of its own, however the bytes come", async () => {
  const stream = fixture("groq/chat.sse");
  const chunkings: Chunking[] = ["whole", "events", { bytes: 7 }];
  for (const chunking of chunkings) {
    const answer = await call({ headers: sse, body: stream, chunking }, { stream: true, target: { provider: "groq" } });
    assert.equal(answer.error, undefined);
    assert.equal(answer.text, stream);
    assert.equal(answer.payloads.at(-1), "data: [DONE]\n\n");
    assert.equal(answer.lasts.filter((last) => last).length, 1);
    assert.equal(answer.lasts.at(-1), true);
    assert.equal(answer.finished?.finishReason, "stop");
  }
});

test("an upstream that stays open behind its closing event keeps nobody waiting", async () => {
  const chat = await call({ headers: sse, body: fixture("groq/chat.sse"), ending: "hang" }, { stream: true });
  assert.equal(chat.error, undefined);
  const body = fixture("openai/responses.sse");
  const responses = await call(
    { headers: sse, body, ending: "hang" },
    { stream: true, operation: Operation.RESPONSES },
  );
  assert.equal(responses.text, body);
  const half = await call(
    { headers: sse, body: `${body}data: [DO`, ending: "hang" },
    { stream: true, operation: Operation.RESPONSES },
  );
  assert.equal(half.text, body);
});

test("a trailer behind the closing event of a response is passed on", async () => {
  const body = `${fixture("openai/responses.sse")}data: [DONE]\n\n`;
  const answer = await call(
    { headers: sse, body, chunking: "events" },
    { stream: true, operation: Operation.RESPONSES },
  );
  assert.equal(answer.text, body);
});

test("connections are used again", async () => {
  const before = upstream.connections;
  for (let round = 0; round < 5; round += 1) await call({ headers: json, body: fixture("openai/chat.json") });
  assert.ok(upstream.connections - before <= 1, `${upstream.connections - before} new connections`);
});

test("a stream's head tells the input that the provider tells at its beginning", async () => {
  const start = {
    message: {
      id: "m",
      role: "assistant",
      model: "c",
      content: [],
      usage: { input_tokens: 7, cache_read_input_tokens: 90, output_tokens: 1 },
    },
  };
  const text = { index: 0, delta: { type: "text_delta", text: "Hi" } };
  const events = [
    ["message_start", start],
    ["content_block_start", { index: 0, content_block: { type: "text", text: "" } }],
    ["content_block_delta", text],
  ] as const;
  const body = events.map(([type, data]) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`).join("");
  for (const operation of [Operation.CHAT_COMPLETIONS, Operation.MESSAGES]) {
    const target = { provider: "anthropic", baseUrl: upstream.url };
    const begun = await call({ headers: sse, body, ending: "cut" }, { operation, stream: true, target });
    const { inputTokens, cacheReadTokens } = begun.started?.usage ?? assert.fail("the head tells no usage");
    assert.deepEqual([inputTokens, cacheReadTokens], [7n, 90n]);
  }
  const silent = 'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n';
  const untold = await call({ headers: sse, body: silent, ending: "cut" }, { stream: true });
  assert.ok(untold.started !== undefined && untold.started.usage === undefined);
});

test("a packed answer is unpacked although identity was asked for", async () => {
  const stream = fixture("groq/chat.sse");
  const packed = await call(
    { headers: { ...sse, "content-encoding": "gzip" }, body: gzipSync(stream), chunking: { bytes: 50 } },
    { stream: true },
  );
  assert.equal(packed.text, stream);
  const garbage = await call({ headers: { ...json, "content-encoding": "gzip" }, body: "no gzip" });
  assert.equal(findUpstreamErrorOf(garbage)?.kind, Kind.BAD_GATEWAY);
  const unknown = await call({ headers: { ...json, "content-encoding": "lzma" }, body: "x" });
  assert.equal(findUpstreamErrorOf(unknown)?.kind, Kind.BAD_GATEWAY);
});

test("a byte order mark before an answer, a failure or a stream says nothing", async () => {
  const whole = fixture("openai/chat.json");
  assert.equal((await call({ headers: json, body: `\ufeff${whole}`, chunking: { bytes: 1000 } })).text, whole);
  const stream = fixture("groq/chat.sse");
  assert.equal((await call({ headers: sse, body: `\ufeff${stream}` }, { stream: true })).text, stream);
  const failure = '{"error":{"message":"said with a mark","type":"t"}}';
  const failed = await call({ status: 400, headers: json, body: `\ufeff${failure}` });
  assert.equal(findUpstreamErrorOf(failed)?.message, "said with a mark");
});

function findUpstreamErrorOf({ error }: { readonly error: Parameters<typeof findUpstreamError>[0] | undefined }) {
  return error === undefined ? undefined : findUpstreamError(error);
}

const chunk = 'data: {"id":"i","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n';
const failures: [string, ScriptedAnswer, Partial<CallSettings>, number, number, boolean][] = [
  ["429", { status: 429, headers: json, body: fixture("openai/error.json") }, {}, Kind.RATE_LIMITED, 429, true],
  ["529", { status: 529 }, {}, Kind.UNAVAILABLE, 529, true],
  ["400", { status: 400, body: "{" }, { stream: true }, Kind.BAD_REQUEST, 400, false],
  [
    "a cut error body",
    { status: 503, headers: { "content-length": "99" }, body: "x", ending: "cut" },
    {},
    Kind.UNAVAILABLE,
    503,
    true,
  ],
  ["a redirect", { status: 307, headers: { location: "http://127.0.0.1:1/" } }, {}, Kind.BAD_GATEWAY, 502, true],
  ["a page", { headers: { "content-type": "text/html" }, body: "<html>" }, {}, Kind.BAD_GATEWAY, 502, true],
  [
    "a page for a stream",
    { headers: { "content-type": "text/html" }, body: "<html>" },
    { stream: true },
    Kind.BAD_GATEWAY,
    502,
    true,
  ],
  ["nothing", { headers: json }, {}, Kind.BAD_GATEWAY, 502, true],
  ["an empty stream", { headers: sse }, { stream: true }, Kind.BAD_GATEWAY, 502, true],
  ["half a stream", { headers: sse, body: chunk }, { stream: true }, Kind.BAD_GATEWAY, 502, true],
  ["half an event", { headers: sse, body: `${chunk}data: {"id":"` }, { stream: true }, Kind.BAD_GATEWAY, 502, true],
  ["a cut stream", { headers: sse, body: chunk, ending: "cut" }, { stream: true }, Kind.BAD_GATEWAY, 502, true],
  ["a stalled stream", { headers: sse, body: chunk, ending: "hang" }, { stream: true }, Kind.TIMEOUT, 408, true],
  ["no head", { instead: "hang" }, {}, Kind.TIMEOUT, 408, true],
  ["cut before the head", { instead: "cut" }, {}, Kind.CONNECTION, 500, true],
  [
    "JSON for a stream",
    { headers: json, body: fixture("openai/chat.json") },
    { stream: true },
    Kind.BAD_GATEWAY,
    502,
    true,
  ],
  [
    "an error for a stream",
    { headers: json, body: '{"error":{"message":"m","code":401}}' },
    { stream: true },
    Kind.AUTHENTICATION,
    401,
    false,
  ],
  ["a stream for JSON", { headers: sse, body: chunk }, {}, Kind.BAD_GATEWAY, 502, true],
  ["too large", { headers: json, body: `{"choices":"${"x".repeat(200_000)}"}` }, {}, Kind.BAD_GATEWAY, 502, true],
  [
    "too large an event",
    { headers: sse, body: `data: {"x":"${"x".repeat(20_000)}"}\n\n` },
    { stream: true },
    Kind.BAD_GATEWAY,
    502,
    true,
  ],
  ["a closed port", {}, { target: { baseUrl: "http://127.0.0.1:1" } }, Kind.CONNECTION, 500, true],
  ["no such host", {}, { target: { baseUrl: "http://no-such-host.invalid" } }, Kind.CONNECTION, 500, true],
  ["no http", {}, { target: { baseUrl: "file:///etc" } }, Kind.CONNECTION, 500, false],
  ["no key", {}, { target: { baseUrl: "", sealedCredential: new Uint8Array() } }, Kind.AUTHENTICATION, 401, false],
];

test("every failure is classified once, and is the only end", async () => {
  for (const [name, answer, changes, kind, status, retryable] of failures) {
    const stalls = answer.ending === "hang" || answer.instead === "hang";
    const result = await call(answer, changes, stalls ? impatient : adapter);
    const detail = findUpstreamErrorOf(result);
    assert.deepEqual(
      [detail?.kind, detail?.httpStatus, detail?.retryable],
      [kind, status, retryable],
      `${name}: ${result.error}`,
    );
    assert.equal(detail?.provider, "openai", name);
    assert.equal(result.finished, undefined, name);
    assert.ok(!result.lasts.includes(true), name);
  }
});

test("what stands before a failure in the same network read reaches the caller", async () => {
  for (const broken of ['data: {"error":{"message":"the engine broke"}}\n\n', "data: {oops\n\n"]) {
    const answer = await call({ headers: sse, body: chunk + broken, chunking: "whole" }, { stream: true });
    assert.equal(answer.text, chunk);
    assert.ok(findUpstreamErrorOf(answer), broken);
  }
});

test("no credential is in an error, whoever put it there", async () => {
  const other = "sk-proj-0123456789abcdef0123456789";
  const body = JSON.stringify({ error: { message: `wrong key ${key} or ${other}`, code: key } });
  for (const status of [401, 200]) {
    const { error } = await call({ status, headers: json, body });
    const detail = error === undefined ? undefined : findUpstreamError(error);
    assert.match(detail?.message ?? "", /^wrong key … or …/);
    for (const text of [
      error?.message,
      detail?.code,
      Buffer.from(detail?.body ?? "").toString(),
      ...adapter.logLines,
    ]) {
      assert.ok(!text?.includes(key) && !text?.includes(other), text);
    }
  }
});

test("what the router must fill in is checked", async () => {
  const cases: [CallSettings["target"], number][] = [
    [{ provider: "nobody" }, Reason.MODEL_NOT_FOUND],
    [{ provider: "groq", sealedCredential: Buffer.from("garbage") }, Reason.UNAVAILABLE],
    [{ provider: "groq", defaultParams: Buffer.from("[]") }, Reason.INVALID_REQUEST],
  ];
  for (const [target, reason] of cases) {
    const { error } = await adapter.call({ target });
    assert.equal(error === undefined ? undefined : findGatewayError(error)?.reason, reason);
  }
});

test("an abort reaches the provider at once, before the head and in a stream", async () => {
  for (const answer of [{ instead: "hang" }, { headers: sse, body: chunk, ending: "hang" }] as const) {
    const abort = new AbortController();
    const before = upstream.requests.length;
    const running = call(answer, { stream: true, signal: abort.signal, onChunk: () => abort.abort() });
    while (upstream.requests.length === before) await new Promise((resolve) => setImmediate(resolve));
    if ("instead" in answer) abort.abort();
    const result = await running;
    assert.equal(result.error?.code, Code.Canceled);
    await upstream.requests.at(-1)?.aborted;
  }
});

test("a caller that stops reading lets go of the provider", async () => {
  const before = upstream.requests.length;
  upstream.answer({ headers: sse, body: chunk, ending: "hang" });
  const target = { provider: "openai", model: "m", baseUrl: `${upstream.url}/v1`, sealedCredential: adapter.seal(key) };
  await adapter.firstEvent({ stream: true, target });
  assert.equal(upstream.requests.length, before + 1);
  await upstream.requests.at(-1)?.aborted;
});

test("a mock response calls nobody, at any provider", async () => {
  const before = upstream.requests.length;
  const target = { provider: "openai", model: "gpt-4o", mockResponse: "Fine, thanks." };
  const answer = await adapter.call({ target });
  assert.equal(JSON.parse(answer.text).choices[0].message.content, "Fine, thanks.");
  const failed = await adapter.call({ target: { ...target, mockResponse: "litellm.RateLimitError" } });
  assert.equal(findUpstreamErrorOf(failed)?.httpStatus, 429);
  assert.equal(upstream.requests.length, before);
});

test("calls are counted by provider and how they ended", async () => {
  const metrics = await adapter.scrape();
  assert.match(
    metrics,
    /sluice_upstream_calls_total\{[^}]*gen_ai_provider_name="openai",error_type="rate_limited"[^}]*\} \d/,
  );
  assert.match(metrics, /sluice_upstream_active_calls(?:\{[^}]*\})? 0/);
});
