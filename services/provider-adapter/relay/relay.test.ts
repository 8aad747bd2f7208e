import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { findUpstreamError, gatewayError, upstreamError } from "#chassis/errors.ts";
import { freePort } from "#chassis/server-process.ts";
import { UpstreamErrorKind as Kind, Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { readEnv } from "../config.ts";
import { type CallSettings, startAdapter } from "../testing/adapter-under-test.ts";
import { certificateFile, type PeerEvent, type PeerScript, startScriptedPeer } from "../testing/scripted-peer.ts";

const peer = await startScriptedPeer();
const secure = await startScriptedPeer({ tls: true });
const limits = { connectTimeoutMs: 2000, maxBodyBytes: 2000, maxEventBytes: 1000 };
const adapter = startAdapter(limits);
const impatient = startAdapter({ ...limits, idleTimeoutMs: 100 });
after(async () => {
  await adapter.close();
  await impatient.close();
  await peer.close();
  await secure.close();
});

const key = "sk-a-key-that-must-not-leak-0123456789";
const started: PeerEvent = { case: "started", value: { status: 200, contentType: "application/json" } };
const streaming: PeerEvent = { case: "started", value: { status: 200, contentType: "text/event-stream" } };
const usage = { inputTokens: 3n, outputTokens: 4n };
const finished: PeerEvent = { case: "finished", value: { usage, finishReason: "stop", responseModel: "m-1" } };
const body = '{"choices":[]}';

function chunk(last: boolean, ...texts: string[]): PeerEvent {
  return { case: "chunk", value: { payloads: texts.map((text) => Buffer.from(text)), last } };
}

function saying(...events: PeerEvent[]): PeerScript {
  return async function* () {
    yield* events;
  };
}

function failing(error: Error, ...events: PeerEvent[]): PeerScript {
  return async function* () {
    yield* events;
    throw error;
  };
}

function call(script: PeerScript, changes: Partial<CallSettings> = {}, by = adapter, to = peer) {
  to.answer(script);
  return by.call({ ...changes, target: { provider: "grpc", model: "parrot", baseUrl: to.address, ...changes.target } });
}

test("a whole answer", async () => {
  const answer = await call(saying(started, chunk(false, '{"choices"'), chunk(true, ":[]}"), finished));
  assert.equal(answer.error, undefined);
  assert.equal(answer.text, body);
  assert.deepEqual(answer.lasts, [true]);
  assert.equal(answer.started?.provider, "grpc");
  assert.equal(answer.started?.deployment, "deployment-1");
  assert.equal(answer.finished?.usage?.outputTokens, 4n);
  assert.equal(answer.finished?.finishReason, "stop");
  assert.equal(answer.finished?.responseModel, "m-1");
});

test("a stream passes as it comes", async () => {
  let saw = () => {};
  const seen = new Promise<void>((resolve) => {
    saw = resolve;
  });
  const script: PeerScript = async function* () {
    yield streaming;
    yield chunk(false, "data: 1\n\n");
    await seen;
    yield chunk(false, "data: 2\n\n", "data: 3\r\n\r\n");
    yield chunk(true, "data: [DONE]\n\n");
    yield finished;
  };
  const answer = await call(script, { stream: true, onChunk: () => saw() });
  assert.equal(answer.error, undefined);
  assert.deepEqual(answer.payloads, ["data: 1\n\n", "data: 2\n\n", "data: 3\r\n\r\n", "data: [DONE]\n\n"]);
  assert.deepEqual(answer.lasts, [false, false, true]);
});

test("the service gets the client's bytes and none of the mesh's own", async () => {
  await call(saying(started, chunk(true, body), finished), {
    operation: Operation.MESSAGES,
    body: '{"model": "m",  "big": 12345678901234567890}',
    headers: { "anthropic-version": "2023-06-01" },
    target: {
      sealedCredential: adapter.seal(key),
      outputTokenCap: 9,
      defaultParams: Buffer.from('{"top_k":1}'),
      headers: { "X-Tenant": "a", authorization: "Bearer x", "grpc-timeout": "1S", "x-bin": "a" },
    },
  });
  const got = peer.requests.at(-1);
  assert.equal(Buffer.from(got?.body ?? []).toString(), '{"model": "m",  "big": 12345678901234567890}');
  assert.equal(got?.operation, Operation.MESSAGES);
  assert.equal(got?.headers["anthropic-version"], "2023-06-01");
  assert.equal(got?.target?.model, "parrot");
  assert.equal(got?.target?.outputTokenCap, 9);
  assert.equal(Buffer.from(got?.target?.defaultParams ?? []).toString(), '{"top_k":1}');
  assert.equal(got?.target?.sealedCredential.length, 0);
  assert.equal(got?.target?.baseUrl, "");
  const metadata = peer.metadata.at(-1);
  assert.equal(metadata?.get("x-tenant"), "a");
  assert.equal(metadata?.get("authorization"), null);
  assert.equal(metadata?.get("x-bin"), null);
  assert.ok(adapter.logLines.some((line) => line.includes("is not sent")));
});

test("who calls is told without the hash of their key and without their limits", async () => {
  const caller = { keyId: "hash", keyAlias: "alias", userId: "u", models: ["a"], scopes: [{ scope: "key:hash" }] };
  await call(saying(started, chunk(true, body), finished), { caller });
  assert.partialDeepStrictEqual(peer.requests.at(-1)?.caller, {
    keyId: "",
    keyAlias: "alias",
    userId: "u",
    models: [],
    scopes: [],
  });
});

test("an answer without usage leaves the estimate to the router", async () => {
  const answer = await call(saying(started, chunk(true, body), { case: "finished", value: {} }));
  assert.equal(answer.error, undefined);
  assert.ok(answer.finished);
  assert.equal(answer.finished.usage, undefined);
});

test("a service that does not end its stream has still answered", async () => {
  const script: PeerScript = async function* (_, { signal }) {
    yield* [started, chunk(true, body), finished];
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  const answer = await call(script);
  assert.equal(answer.error, undefined);
  assert.ok(answer.finished);
});

const broken: [string, PeerEvent[], RegExp, boolean?][] = [
  ["nothing", [], /before it was finished/],
  ["no beginning", [chunk(true, body), finished], /before its beginning/],
  ["an end alone", [finished], /marked as the last/],
  ["two beginnings", [started, started, chunk(true, body), finished], /twice/],
  ["a chunk behind the last one", [started, chunk(true, body), chunk(true, body), finished], /behind the last/],
  ["no last chunk", [streaming, chunk(false, "data: 1\n\n"), finished], /marked as the last/, true],
  ["no end", [streaming, chunk(true, "data: 1\n\n")], /before it was finished/, true],
  ["two ends", [started, chunk(true, body), finished, finished], /behind its end/],
  ["a chunk behind the end", [started, chunk(true, body), finished, chunk(false, "x")], /behind its end/],
  ["an event that is none", [{ case: undefined }], /an event that is none/],
  ["a failed status", [{ case: "started", value: { status: 500 } }], /status 500/],
  ["a stream that nobody asked for", [streaming, chunk(true, "data: 1\n\n"), finished], /not asked for/],
  ["no stream", [started, chunk(true, body), finished], /not asked for/, true],
  ["no JSON", [started, chunk(true, '{"choices":'), finished], /no JSON/],
  ["half an event", [streaming, chunk(false, "data: 1\n"), finished], /blank line/, true],
  ["a large answer", [started, chunk(false, "x".repeat(1500)), chunk(true, "x".repeat(1500)), finished], /larger than/],
  ["a large message", [started, chunk(true, "x".repeat(100_000)), finished], /too large/],
  ["a large event", [streaming, chunk(false, `data: ${"x".repeat(1500)}\n\n`), finished], /larger than/, true],
  [
    "impossible usage",
    [started, chunk(true, body), { case: "finished", value: { usage: { outputTokens: 2n ** 63n } } }],
    /impossibly many/,
  ],
];

describe("what the contract does not allow is a bad gateway", () => {
  for (const [what, events, message, stream = false] of broken) {
    test(what, async () => {
      const { error, finished: end } = await call(saying(...events), { stream });
      assert.ok(error);
      const detail = findUpstreamError(error);
      assert.equal(detail?.kind, Kind.BAD_GATEWAY);
      assert.match(error.message, message);
      assert.equal(end, undefined);
    });
  }
});

const bad = { provider: "theirs", retryable: false, message: "the prompt is too long", httpStatus: 400 };
const failures: [string, Error, Kind, number, boolean][] = [
  ["INVALID_ARGUMENT", new ConnectError("no", Code.InvalidArgument), Kind.BAD_REQUEST, 400, false],
  ["UNAUTHENTICATED", new ConnectError("no", Code.Unauthenticated), Kind.AUTHENTICATION, 401, false],
  ["PERMISSION_DENIED", new ConnectError("no", Code.PermissionDenied), Kind.PERMISSION_DENIED, 403, false],
  ["NOT_FOUND", new ConnectError("no", Code.NotFound), Kind.NOT_FOUND, 404, false],
  ["UNIMPLEMENTED", new ConnectError("no", Code.Unimplemented), Kind.NOT_FOUND, 404, false],
  ["RESOURCE_EXHAUSTED", new ConnectError("no", Code.ResourceExhausted), Kind.RATE_LIMITED, 429, true],
  ["UNAVAILABLE", new ConnectError("no", Code.Unavailable), Kind.UNAVAILABLE, 503, true],
  ["INTERNAL", new ConnectError("no", Code.Internal), Kind.INTERNAL, 500, true],
  ["a crash", new TypeError("no"), Kind.INTERNAL, 500, true],
  [
    "words that say more",
    new ConnectError("This model's maximum context length is 8192 tokens", Code.InvalidArgument),
    Kind.CONTEXT_WINDOW,
    400,
    false,
  ],
  ["a detail", upstreamError({ ...bad, kind: Kind.CONTEXT_WINDOW }), Kind.CONTEXT_WINDOW, 400, false],
  ["half a detail", upstreamError({ ...bad, kind: Kind.UNSPECIFIED, httpStatus: 429 }), Kind.RATE_LIMITED, 429, false],
  ["a refusal", gatewayError(Reason.INVALID_REQUEST, "no", { param: "n" }), Kind.BAD_REQUEST, 400, false],
  ["a refusal like ours", gatewayError(Reason.KEY_INVALID, "no"), Kind.AUTHENTICATION, 401, false],
];

describe("what a service fails with", () => {
  for (const [what, thrown, kind, status, retryable] of failures) {
    test(what, async () => {
      const { error } = await call(failing(thrown));
      assert.ok(error);
      const detail = findUpstreamError(error);
      assert.equal(detail?.kind, kind);
      assert.equal(detail.httpStatus, status);
      assert.equal(detail.retryable, retryable);
      assert.equal(detail.provider, "grpc");
    });
  }

  test("its retry-after is read", async () => {
    const thrown = new ConnectError("slowly", Code.ResourceExhausted, { "retry-after": "7" });
    const { error } = await call(failing(thrown));
    assert.equal(error && findUpstreamError(error)?.retryAfter?.seconds, 7n);
  });

  test("in the middle of a stream", async () => {
    const thrown = new ConnectError("out of memory", Code.Internal);
    const answer = await call(failing(thrown, streaming, chunk(false, "data: 1\n\n")), { stream: true });
    assert.deepEqual(answer.payloads, ["data: 1\n\n"]);
    assert.match(answer.error?.message ?? "", /out of memory/);
  });

  test("behind the end, where nothing may come any more", async () => {
    const answer = await call(failing(new ConnectError("oh", Code.Internal), started, chunk(true, body), finished));
    assert.equal(answer.finished, undefined);
    assert.match(answer.error?.message ?? "", /oh/);
  });
});

const stuck: PeerScript = async function* (_, { signal }) {
  yield streaming;
  yield chunk(false, "data: 1\n\n");
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
};

test("a connection that is cut in the middle", async () => {
  const answer = await call(stuck, { stream: true, onChunk: () => peer.cut() });
  assert.deepEqual(answer.payloads, ["data: 1\n\n"]);
  assert.equal(answer.error && findUpstreamError(answer.error)?.kind, Kind.BAD_GATEWAY);
  const again = await call(saying(started, chunk(true, body), finished));
  assert.equal(again.error, undefined);
});

test("a caller that leaves is gone for the service too", async () => {
  const left = new AbortController();
  let gone = () => {};
  const sawIt = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const script: PeerScript = async function* (_, { signal }) {
    yield streaming;
    yield chunk(false, "data: 1\n\n");
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    gone();
  };
  const answer = await call(script, { stream: true, signal: left.signal, onChunk: () => left.abort() });
  assert.equal(answer.error?.code, Code.Canceled);
  await sawIt;
});

test("a silent service is given up, also behind its beginning", async () => {
  const silent: PeerScript = async function* (_, { signal }) {
    yield streaming;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  const answer = await call(silent, { stream: true }, impatient);
  assert.equal(answer.started, undefined);
  assert.equal(answer.error && findUpstreamError(answer.error)?.kind, Kind.TIMEOUT);
});

test("calls share a connection", async () => {
  const before = peer.connections();
  const script: PeerScript = async function* () {
    await sleep(20);
    yield* [started, chunk(true, body), finished];
  };
  await call(script);
  const calls = await Promise.all(Array.from({ length: 20 }, () => call(script)));
  assert.ok(calls.every(({ error }) => error === undefined));
  assert.ok(peer.connections() - before <= 1);
});

async function listening(server: ReturnType<typeof createServer> | ReturnType<typeof createHttpServer>) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

test("what is no gRPC service", async () => {
  const garbage = await listening(createServer((socket) => socket.on("error", () => {}).end("garbage".repeat(50))));
  const http1 = await listening(createHttpServer((_, response) => response.end("{}")));
  for (const { port } of [garbage, http1]) {
    const { error } = await adapter.call({
      target: { provider: "grpc", model: "m", baseUrl: `grpc://127.0.0.1:${port}` },
    });
    const detail = error && findUpstreamError(error);
    assert.ok(detail?.kind === Kind.CONNECTION || detail?.kind === Kind.BAD_GATEWAY, error?.message);
  }
  garbage.close();
  http1.close();
  const { error } = await adapter.call({
    target: { provider: "grpc", model: "m", baseUrl: `grpc://127.0.0.1:${await freePort()}` },
  });
  assert.match(error?.message ?? "", /the connection was refused/);
});

test("addresses", async () => {
  for (const baseUrl of ["", "ftp://a", "127.0.0.1:50051", "grpc://", "grpc://u:p@host", "unix:/a"]) {
    const { error } = await adapter.call({ target: { provider: "grpc", model: "m", baseUrl } });
    assert.match(error?.message ?? "", /api_base must be the service's address/, baseUrl);
    assert.equal(error && findUpstreamError(error)?.retryable, false);
  }
  const answer = await call(saying(started, chunk(true, body), finished), {
    target: { provider: "grpc", baseUrl: peer.address.replace("grpc:", "http:") },
  });
  assert.equal(answer.error, undefined);
});

describe("TLS", () => {
  const files = { SLUICE_GRPC_CA_FILE: certificateFile("authority") };
  const client = {
    SLUICE_GRPC_CERT_FILE: certificateFile("client"),
    SLUICE_GRPC_KEY_FILE: certificateFile("client-key"),
  };
  const cases: [string, Record<string, string>, string | null | undefined][] = [
    ["both show a certificate: the service gets the key", { ...files, ...client }, `Bearer ${key}`],
    ["the service alone shows one: it gets no key", files, null],
    ["the service's is not trusted: no call is made", {}, undefined],
  ];
  for (const [what, env, expected] of cases) {
    test(what, async () => {
      const own = startAdapter(readEnv(env));
      const before = secure.requests.length;
      const target = { provider: "grpc", sealedCredential: own.seal(key) };
      const answer = await call(saying(started, chunk(true, body), finished), { target }, own, secure);
      await own.close();
      assert.equal(answer.error === undefined, expected !== undefined);
      assert.equal(secure.requests.length - before, expected === undefined ? 0 : 1);
      if (expected !== undefined) assert.equal(secure.metadata.at(-1)?.get("authorization"), expected);
    });
  }

  test("a certificate without its key stops the start", () => {
    const { SLUICE_GRPC_CERT_FILE } = client;
    assert.throws(() => readEnv({ SLUICE_GRPC_CERT_FILE }), /must be set together/);
    assert.throws(() => readEnv({ SLUICE_GRPC_CA_FILE: "/nowhere" }), /SLUICE_GRPC_CA_FILE must name a file/);
  });
});

test("questions about a call", async () => {
  const request = {
    operation: Operation.CHAT_COMPLETIONS,
    body: Buffer.from("{}"),
    target: { provider: "grpc", model: "m" },
  };
  await assert.rejects(adapter.requests.preview({ call: request }), /no HTTP request/);
  const { params } = await adapter.requests.listSupportedParams({ call: request });
  assert.ok(params.includes("logit_bias") && params.includes("stream"));
});
