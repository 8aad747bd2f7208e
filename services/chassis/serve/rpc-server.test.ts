import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { createLogger } from "../log.ts";
import { Channel } from "../rpc/channel.ts";
import { createRemoteClient } from "../rpc/remote-client.ts";
import { Secret } from "../secret.ts";
import { implement } from "../service.ts";
import { type RpcServer, type RpcServerOptions, serveRpc } from "./rpc-server.ts";

const log = createLogger("error", () => undefined);
const token = new Secret("mesh-token");
const authenticatePath = `/${AuthService.typeName}/${AuthService.method.authenticate.name}`;

const implementations = [
  implement(AuthService, {
    authenticateToken: () => ({}),
    describeScope: () => ({}),
    authenticateKeys: () => ({}),
    authenticate: ({ keyHash }) => ({ principal: { keyId: keyHash } }),
  }),
  implement(InferenceService, {
    async *infer({ model }, { signal }) {
      yield { event: { case: "started", value: {} } };
      await pause(Number(model), undefined, { signal });
      yield { event: { case: "finished", value: {} } };
    },
  }),
];

function serve(options: Partial<RpcServerOptions> = {}): Promise<RpcServer> {
  return serveRpc({
    host: "127.0.0.1",
    port: 0,
    implementations,
    token: undefined,
    health: () => true,
    log,
    ...options,
  });
}

/** Runs with a server and a channel to it, and frees both. */
async function withServer(
  options: Partial<RpcServerOptions>,
  run: (server: RpcServer, channel: Channel) => Promise<void>,
): Promise<void> {
  const server = await serve(options);
  const channel = new Channel({ addresses: [server.address], token: options.token, log });
  try {
    await run(server, channel);
  } finally {
    await channel.close();
    await server.close(0);
  }
}

/** Sends raw bytes, piece by piece, and resolves with everything that came back until the server closed. */
async function exchange(server: RpcServer, pieces: readonly string[], gapMs = 0): Promise<string> {
  const socket = connect(server.port, "127.0.0.1").setNoDelay(true);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk)).on("error", () => undefined);
  for (const piece of pieces) {
    socket.write(piece, "latin1");
    if (gapMs > 0) await pause(gapMs);
  }
  await closed(socket);
  return Buffer.concat(chunks).toString("latin1");
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}

function code(expected: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === expected;
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

describe("the mesh token", async () => {
  const server = await serve({ token });
  const channel = new Channel({ addresses: [server.address], token: undefined, log });
  after(async () => {
    await channel.close();
    await server.close(0);
  });
  const { address: baseUrl } = server;
  const transports = {
    "Connect over HTTP/1.1": createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }),
    "Connect in JSON": createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    "Connect over HTTP/2": createConnectTransport({ baseUrl, httpVersion: "2" }),
    gRPC: createGrpcTransport({ baseUrl }),
    "gRPC-Web": createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  };
  const clients = Object.entries(transports).map(([name, transport]) => ({
    name,
    auth: createClient(AuthService, transport),
    inference: createClient(InferenceService, transport),
    health: createClient(Health, transport),
  }));
  clients.push({
    name: "lean client",
    auth: createRemoteClient(AuthService, channel),
    inference: createRemoteClient(InferenceService, channel),
    health: createRemoteClient(Health, channel),
  });
  for (const { name, auth, inference, health } of clients) {
    test(`is needed by all but health: ${name}`, async () => {
      await assert.rejects(auth.authenticate({}), code(Code.Unauthenticated));
      await assert.rejects(collect(inference.infer({ model: "0" })), code(Code.Unauthenticated));
      const headers = { authorization: "Bearer mesh-tokeN" };
      await assert.rejects(auth.authenticate({}, { headers }), code(Code.Unauthenticated));
      const good = { authorization: "Bearer mesh-token" };
      assert.equal((await auth.authenticate({ keyHash: "k" }, { headers: good })).principal?.keyId, "k");
      assert.equal((await health.check({})).status, Status.SERVING);
    });
  }
});

test("while a mesh token takes the place of another, peers with either are served", async () => {
  const next = new Secret("next-token");
  await withServer({ token, otherTokens: [next] }, async ({ address }) => {
    for (const [sent, served] of [
      [token, true],
      [next, true],
      [new Secret("mesh-token,next-token"), false],
    ] as const) {
      const channel = new Channel({ addresses: [address], token: sent, log });
      const call = createRemoteClient(AuthService, channel).authenticate({ keyHash: "k" });
      if (served) assert.equal((await call).principal?.keyId, "k");
      else await assert.rejects(call, code(Code.Unauthenticated));
      await channel.close();
    }
  });
});

test("health: services, unknown services, a server that turns unhealthy, and a watch until it closes", async () => {
  let healthy = true;
  const server = await serve({ health: () => healthy });
  const channel = new Channel({ addresses: [server.address], token: undefined, log });
  const health = createRemoteClient(Health, channel);
  assert.equal((await health.check({ service: AuthService.typeName })).status, Status.SERVING);
  await assert.rejects(health.check({ service: "nobody" }), code(Code.NotFound));
  const unknown = health.watch({ service: "nobody" })[Symbol.asyncIterator]();
  assert.equal((await unknown.next()).value?.status, Status.SERVICE_UNKNOWN);
  await unknown.return?.();
  const watch = health.watch({})[Symbol.asyncIterator]();
  assert.equal((await watch.next()).value?.status, Status.SERVING);
  healthy = false;
  assert.equal((await health.check({})).status, Status.NOT_SERVING);
  assert.equal((await watch.next()).value?.status, Status.NOT_SERVING);
  healthy = true;
  assert.equal((await watch.next()).value?.status, Status.SERVING);
  const closing = server.close(2000);
  assert.equal((await watch.next()).value?.status, Status.NOT_SERVING);
  assert.equal((await watch.next()).done, true);
  await closing;
  await channel.close();
});

test("close lets calls in flight finish, on HTTP/1.1 and HTTP/2, and takes no new ones", async () => {
  const server = await serve();
  const channel = new Channel({ addresses: [server.address], token: undefined, log });
  const lean = createRemoteClient(InferenceService, channel);
  const grpc = createClient(InferenceService, createGrpcTransport({ baseUrl: server.address }));
  // Longer than idle connections are kept: those with a call on them are not told farewell.
  const running = [lean, grpc].map(({ infer }) => infer({ model: "600" })[Symbol.asyncIterator]());
  for (const stream of running) assert.equal((await stream.next()).value?.event.case, "started");
  await server.close(20_000);
  for (const stream of running) {
    assert.equal((await stream.next()).value?.event.case, "finished");
    assert.equal((await stream.next()).done, true);
  }
  await assert.rejects(collect(lean.infer({ model: "0" })), code(Code.Unavailable));
  await channel.close();
});

test("a server that closes still answers on a connection that was idle, for as long as it lingers", async () => {
  const server = await serve();
  const channel = new Channel({ addresses: [server.address], token: undefined, log });
  await createRemoteClient(AuthService, channel).authenticate({ keyHash: "k" });
  await pause(50);
  const closing = server.close(3000);
  const inference = createRemoteClient(InferenceService, channel);
  assert.equal((await collect(inference.infer({ model: "0" }))).length, 2);
  await closing;
  await assert.rejects(collect(inference.infer({ model: "0" })), code(Code.Unavailable));
  await channel.close();
});

test("an idle connection is told farewell, and a request that crosses it is not read", async () => {
  const asked: string[] = [];
  const counted = implement(AuthService, {
    authenticateToken: () => ({}),
    describeScope: () => ({}),
    authenticateKeys: () => ({}),
    authenticate({ keyHash }) {
      asked.push(keyHash);
      return {};
    },
  });
  const server = await serve({ implementations: [counted] });
  const request = `POST ${authenticatePath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n`;
  const [used, fresh] = [connect(server.port, "127.0.0.1"), connect(server.port, "127.0.0.1")];
  const received: string[] = [];
  for (const socket of [used, fresh]) {
    socket.on("data", (chunk) => {
      received.push(chunk.toString().split("\r\n")[0] ?? "");
      if (received.at(-1)?.includes("408")) socket.write(request);
    });
  }
  used.write(request);
  await once(used, "data");
  const closing = server.close(3000);
  await Promise.all([closed(used), closed(fresh), closing]);
  assert.deepEqual(received, ["HTTP/1.1 200 OK", "HTTP/1.1 408 Request Timeout", "HTTP/1.1 408 Request Timeout"]);
  assert.equal(asked.length, 1);
});

test("close cuts what is left after the grace", async () => {
  const server = await serve();
  const channel = new Channel({ addresses: [server.address], token: undefined, log });
  const running = collect(createRemoteClient(InferenceService, channel).infer({ model: "20000" }));
  const failed = assert.rejects(running, code(Code.Unavailable));
  const idle = connect(server.port, "127.0.0.1").resume();
  await pause(60);
  const started = performance.now();
  await server.close(100);
  // Long before the call would be over.
  assert.ok(performance.now() - started < 10_000);
  await failed;
  await closed(idle);
  await channel.close();
});

test("an answer says when its connection closes, and not that it stays open", async () => {
  const inferPath = `/${InferenceService.typeName}/${InferenceService.method.infer.name}`;
  const small = `POST ${authenticatePath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n`;
  const large = `POST ${inferPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+proto\r\ncontent-length: 9000000\r\n\r\n`;
  await withServer({ maxMessageBytes: 1000 }, async (server) => {
    const answers = await exchange(server, [small, small, large], 50);
    const [, first = "", second = "", last = ""] = answers.split("HTTP/1.1 200 OK");
    assert.doesNotMatch(first, /connection|keep-alive/i);
    assert.doesNotMatch(second, /connection|keep-alive/i);
    assert.match(last, /connection: close/i);
    assert.match(last, /resource_exhausted/);
  });
});

test("a request message above the limit is refused, whoever sends it", async () => {
  await withServer({ maxMessageBytes: 100_000 }, async (server, channel) => {
    const grpc = createClient(AuthService, createGrpcTransport({ baseUrl: server.address }));
    const auth = createRemoteClient(AuthService, channel);
    const keyHash = "x".repeat(150_000);
    await assert.rejects(auth.authenticate({ keyHash }), code(Code.ResourceExhausted));
    await assert.rejects(grpc.authenticate({ keyHash }), code(Code.ResourceExhausted));
    assert.equal((await auth.authenticate({ keyHash: "small" })).principal?.keyId, "small");
  });
});

test("what is no RPC goes to the service's own HTTP, else gets 404", async () => {
  await withServer({ http: (_request, response) => response.end("own") }, async ({ address }) => {
    assert.equal(await (await fetch(`${address}/v1/models?x=1`)).text(), "own");
    assert.equal((await fetch(`${address}/${AuthService.typeName}/Nothing`, { method: "POST" })).status, 404);
  });
  await withServer({}, async ({ address }) => {
    assert.equal((await fetch(`${address}/v1/models`)).status, 404);
  });
});

test("methods without side effects answer GET", async () => {
  await withServer({}, async ({ address }) => {
    const message = encodeURIComponent(JSON.stringify({ keyHash: "get" }));
    const response = await fetch(`${address}${authenticatePath}?connect=v1&encoding=json&message=${message}`);
    assert.deepEqual(await response.json(), { principal: { keyId: "get" } });
  });
});

const head = (type: string, length: number): string =>
  `POST ${authenticatePath} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`;

const bytewise = [head("application/json", 2).slice(4)];

const rawCases: readonly [what: string, pieces: readonly string[], answer: RegExp][] = [
  ["a request that begins byte by byte", ["P", "O", "S", "T", ...bytewise, "{}"], /^HTTP\/1\.1 200 /],
  ["no HTTP at all", ["\x16\x03\x01 hello\r\n\r\n"], /^HTTP\/1\.1 400 /],
  [
    "half a preface, then something else",
    ["PR", "OPFIND / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"],
    /^HTTP\/1\.1 404 /,
  ],
  ["garbage after the preface", ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "garbage".repeat(20)], /./],
  [
    "no host",
    [`POST ${authenticatePath} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`],
    /^HTTP\/1\.1 400 /,
  ],
  [
    "a host that is none",
    [
      `POST ${authenticatePath} HTTP/1.1\r\nhost: [[\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
    ],
    /^HTTP\/1\.1 400 /,
  ],
  ["a broken message", [head("application/proto", 3), "\xff\xff\xff"], /^HTTP\/1\.1 400 [\s\S]*invalid_argument/],
  [
    "a bad timeout",
    [head("application/proto", 0).replace("\r\n\r\n", "\r\nconnect-timeout-ms: soon\r\n\r\n")],
    /^HTTP\/1\.1 400 [\s\S]*invalid_argument/,
  ],
  ["an unknown media type", [head("text/plain", 2), "{}"], /^HTTP\/1\.1 415 /],
  ["a head without end", [`POST / HTTP/1.1\r\nx: ${"y".repeat(40_000)}`], /^HTTP\/1\.1 431 /],
];

describe("raw input", async () => {
  const [server, impatient] = [await serve(), await serve({ headerTimeoutMs: 300 })];
  after(() => Promise.all([server.close(0), impatient.close(0)]));
  for (const [what, pieces, answer] of rawCases) {
    test(what, async () => assert.match(await exchange(server, pieces, pieces.length > 3 ? 1 : 0), answer));
  }
  test("a head that takes too long", async () => {
    assert.match(await exchange(impatient, ["POST / HTTP/1.1\r\n"]), /^HTTP\/1\.1 408 |^$/);
  });
  test("a connection that says nothing", async () => {
    assert.equal(await exchange(impatient, ["P"]), "");
  });
  test("and the server still answers", async () => {
    assert.match(await exchange(server, [head("application/json", 2), "{}"]), /^HTTP\/1\.1 200 /);
  });
});
