import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import {
  InferenceService,
  type InferRequest,
  type InferResponseSchema,
} from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { findGatewayError, gatewayError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { Secret } from "../secret.ts";
import { serveRpc } from "../serve/rpc-server.ts";
import { implement } from "../service.ts";
import { Channel } from "./channel.ts";
import { createLocalClient } from "./local-client.ts";
import { createRemoteClient } from "./remote-client.ts";

type Event = MessageInitShape<typeof InferResponseSchema>;

/** The same cases over every way that two services, or a stock client and a service, can be connected. */
interface Binding {
  readonly auth: Client<typeof AuthService>;
  readonly inference: Client<typeof InferenceService>;
  readonly close: () => Promise<void>;
}

const log = createLogger("error", () => undefined);
const token = new Secret("mesh-token");
const authorization = { authorization: `Bearer ${token.reveal()}` };
const large = 3 * 1024 * 1024;
/** How many calls of the test service began to wait, and how many it saw canceled. */
const seen = { waiting: 0, canceled: 0 };

const auth = implement(AuthService, {
  authenticateToken: () => ({}),
  describeScope: () => ({}),
  authenticateKeys: () => ({}),
  async authenticate({ keyHash }, context) {
    switch (keyHash) {
      case "fail":
        throw gatewayError(Reason.KEY_INVALID, "no such key", { param: "key", retryAfterMs: 1500 });
      case "boom":
        throw new Error("password=hunter2");
      case "hang":
        return forever(context);
      case "deaf":
        return await new Promise<never>(() => undefined);
      case "deadline":
        return { principal: { keyId: String(context.timeoutMs()) } };
      case "metadata":
        context.responseHeader.set("x-answer", "header");
        context.responseTrailer.set("x-after", "trailer");
        return {};
      default:
        return { principal: { keyId: context.requestHeader.get("x-test") ?? keyHash } };
    }
  },
});

const inference = implement(InferenceService, {
  async *infer(request, context): AsyncIterable<Event> {
    yield { event: { case: "started", value: { status: 200, provider: context.requestHeader.get("x-test") ?? "" } } };
    yield* chunksOf(request, context);
    yield { event: { case: "finished", value: { finishReason: "stop" } } };
  },
});

async function* chunksOf({ model, body }: InferRequest, context: HandlerContext) {
  switch (model) {
    case "fail":
      throw gatewayError(Reason.BUDGET_EXCEEDED, "too dear", { limitType: "budget" });
    case "boom":
      throw new Error("password=hunter2");
    case "hang":
      await forever(context);
      break;
    case "deaf":
      await new Promise(() => undefined);
      break;
    case "many":
      for (let index = 0; index < 600; index++) yield chunk(Buffer.alloc(500, index % 256));
      break;
    case "slow":
      for (let index = 0; index < 3; index++) {
        await pause(1);
        yield chunk(Buffer.of(index));
      }
      break;
    default:
      yield chunk(body);
  }
}

function chunk(payload: Uint8Array): Event {
  return { event: { case: "chunk", value: { payloads: [payload] } } };
}

function forever({ signal }: HandlerContext): Promise<never> {
  seen.waiting++;
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => {
      const deadline = signal.reason instanceof ConnectError && signal.reason.code === Code.DeadlineExceeded;
      if (!deadline) seen.canceled++;
      reject(signal.reason);
    });
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 400, "the condition did not come true in time");
    await pause(5);
  }
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

function code(expected: Code): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(Code[error.code], Code[expected], error.message);
    assert.ok(!error.message.includes("hunter2"));
    return true;
  };
}

/** Reads up to the first message; whoever wants the rest goes on with the iterator. */
async function firstOf<T>(stream: AsyncIterable<T>): Promise<AsyncIterator<T>> {
  const iterator = stream[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).done, false);
  return iterator;
}

const cases: Record<string, (binding: Binding) => Promise<void>> = {
  "unary with headers": async ({ auth }) => {
    assert.equal((await auth.authenticate({ keyHash: "abc" })).principal?.keyId, "abc");
    const { principal } = await auth.authenticate({ keyHash: "abc" }, { headers: { "x-test": "here" } });
    assert.equal(principal?.keyId, "here");
  },
  "stream with headers": async ({ inference }) => {
    const events = await collect(inference.infer({ body: Buffer.from("hi") }, { headers: { "x-test": "there" } }));
    assert.deepEqual(
      events.map(({ event }) => event.case),
      ["started", "chunk", "finished"],
    );
    assert.ok(events[0]?.event.case === "started" && events[0].event.value.provider === "there");
    assert.ok(events[1]?.event.case === "chunk");
    assert.equal(Buffer.from(events[1].event.value.payloads[0] ?? []).toString(), "hi");
  },
  "messages that come one by one": async ({ inference }) => {
    assert.equal((await collect(inference.infer({ model: "slow" }))).length, 5);
  },
  "many messages and a slow reader": async ({ inference }) => {
    let count = 0;
    for await (const { event } of inference.infer({ model: "many" })) {
      if (event.case !== "chunk") continue;
      assert.equal(event.value.payloads[0]?.[499], count % 256);
      if (count++ % 150 === 0) await pause(5);
    }
    assert.equal(count, 600);
  },
  "unary error with details": async ({ auth }) => {
    await assert.rejects(auth.authenticate({ keyHash: "fail" }), (error) => {
      code(Code.Unauthenticated)(error);
      assert.ok(error instanceof ConnectError);
      assert.equal(error.rawMessage, "no such key");
      const detail = findGatewayError(error);
      assert.equal(detail?.reason, Reason.KEY_INVALID);
      assert.equal(detail?.param, "key");
      assert.equal(detail?.retryAfter?.seconds, 1n);
      return true;
    });
  },
  "stream error after a message": async ({ inference }) => {
    const iterator = await firstOf(inference.infer({ model: "fail" }));
    await assert.rejects(iterator.next(), (error) => {
      code(Code.ResourceExhausted)(error);
      assert.equal(error instanceof ConnectError && findGatewayError(error)?.limitType, "budget");
      return true;
    });
    assert.equal((await iterator.next()).done, true);
  },
  "an unknown error says nothing": async ({ auth, inference }) => {
    await assert.rejects(auth.authenticate({ keyHash: "boom" }), code(Code.Internal));
    await assert.rejects(collect(inference.infer({ model: "boom" })), code(Code.Internal));
  },
  "the implementation sees a cancel": async ({ auth, inference }) => {
    const before = { ...seen };
    const unary = new AbortController();
    const answer = assert.rejects(
      auth.authenticate({ keyHash: "hang" }, { signal: unary.signal }),
      code(Code.Canceled),
    );
    await until(() => seen.waiting === before.waiting + 1);
    unary.abort();
    await answer;
    await until(() => seen.canceled === before.canceled + 1);
    const stream = new AbortController();
    const iterator = await firstOf(inference.infer({ model: "hang" }, { signal: stream.signal }));
    const next = assert.rejects(iterator.next(), code(Code.Canceled));
    await until(() => seen.waiting === before.waiting + 2);
    stream.abort();
    await next;
    await until(() => seen.canceled === before.canceled + 2);
  },
  "a canceled call does not begin": async ({ auth, inference }) => {
    const signal = AbortSignal.abort();
    await assert.rejects(auth.authenticate({ keyHash: "hang" }, { signal }), code(Code.Canceled));
    await assert.rejects(collect(inference.infer({ model: "hang" }, { signal })), code(Code.Canceled));
  },
  "a deadline ends a call, also where the implementation ignores it": async ({ auth, inference }) => {
    for (const name of ["hang", "deaf"]) {
      await assert.rejects(auth.authenticate({ keyHash: name }, { timeoutMs: 40 }), code(Code.DeadlineExceeded));
      await assert.rejects(collect(inference.infer({ model: name }, { timeoutMs: 40 })), code(Code.DeadlineExceeded));
    }
  },
  "the implementation knows the deadline": async ({ auth }) => {
    const { principal } = await auth.authenticate({ keyHash: "deadline" }, { timeoutMs: 5000 });
    const left = Number(principal?.keyId);
    assert.ok(left > 1000 && left <= 5000, principal?.keyId);
  },
  "large messages both ways": async ({ inference }) => {
    const body = Buffer.alloc(large, 7);
    const [, answer] = await collect(inference.infer({ body }));
    assert.ok(answer?.event.case === "chunk");
    assert.ok(body.equals(answer.event.value.payloads[0] ?? Buffer.alloc(0)));
  },
  "response headers and trailers": async ({ auth }) => {
    const got: string[] = [];
    await auth.authenticate(
      { keyHash: "metadata" },
      {
        onHeader: (headers) => got.push(headers.get("x-answer") ?? ""),
        onTrailer: (trailers) => got.push(trailers.get("x-after") ?? ""),
      },
    );
    assert.deepEqual(got, ["header", "trailer"]);
  },
  "many calls at once": async ({ auth }) => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => auth.authenticate({ keyHash: `${index}` })),
    );
    assert.ok(answers.every(({ principal }, index) => principal?.keyId === `${index}`));
  },
};

const bindings: Record<string, () => Promise<Binding>> = {
  "local binding": async () => ({
    auth: createLocalClient(AuthService, auth.implementation),
    inference: createLocalClient(InferenceService, inference.implementation),
    close: async () => undefined,
  }),
  "lean client, lean server": async () => {
    const server = await leanServer();
    return overChannel(server.address, () => server.close(200));
  },
  "lean client, stock server": async () => {
    const server = createServer(
      connectNodeAdapter({
        routes: (router) => {
          router.service(AuthService, auth.implementation).service(InferenceService, inference.implementation);
        },
      }),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return overChannel(`http://127.0.0.1:${port}`, async () => {
      server.closeAllConnections();
      server.close();
    });
  },
  "stock Connect client, lean server": () =>
    stockClient((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true })),
  "stock Connect client in JSON, lean server": () =>
    stockClient((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })),
  "stock Connect client over HTTP/2, lean server": () =>
    stockClient((baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true })),
  "stock gRPC client, lean server": () => stockClient((baseUrl) => createGrpcTransport({ baseUrl })),
  "stock gRPC-Web client, lean server": () =>
    stockClient((baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })),
};

function leanServer() {
  const implementations = [auth, inference];
  return serveRpc({ host: "127.0.0.1", port: 0, implementations, token, health: () => true, log });
}

function overChannel(address: string, close: () => Promise<void>): Binding {
  const channel = new Channel({ addresses: [address], token, log });
  return {
    auth: createRemoteClient(AuthService, channel),
    inference: createRemoteClient(InferenceService, channel),
    close: async () => {
      await channel.close();
      await close();
    },
  };
}

async function stockClient(connect: (baseUrl: string) => Transport): Promise<Binding> {
  const server = await leanServer();
  const transport = withToken(connect(server.address));
  return {
    auth: createClient(AuthService, transport),
    inference: createClient(InferenceService, transport),
    close: () => server.close(0),
  };
}

function withToken(transport: Transport): Transport {
  const headers = (given: CallOptions["headers"]): Headers => {
    const all = new Headers(given);
    all.set("authorization", authorization.authorization);
    return all;
  };
  return {
    unary: (method, signal, timeoutMs, header, input, values) =>
      transport.unary(method, signal, timeoutMs, headers(header), input, values),
    stream: (method, signal, timeoutMs, header, input, values) =>
      transport.stream(method, signal, timeoutMs, headers(header), input, values),
  };
}

for (const [name, open] of Object.entries(bindings)) {
  describe(name, async () => {
    const binding = await open();
    after(() => binding.close());
    for (const [what, run] of Object.entries(cases)) {
      // Stock code waits for an implementation that ignores its signal.
      const deaf = name.endsWith("stock server") && what.startsWith("a deadline ends");
      test(what, { timeout: 10_000 }, () => (deaf ? deadlineOnly(binding) : run(binding)));
    }
    if (name.startsWith("l")) {
      test("breaking out of a stream cancels it", () => breakOut(binding));
    }
  });
}

async function deadlineOnly({ auth, inference }: Binding): Promise<void> {
  await assert.rejects(auth.authenticate({ keyHash: "hang" }, { timeoutMs: 40 }), code(Code.DeadlineExceeded));
  await assert.rejects(collect(inference.infer({ model: "hang" }, { timeoutMs: 40 })), code(Code.DeadlineExceeded));
}

async function breakOut({ inference }: Binding): Promise<void> {
  const before = { ...seen };
  const iterator = await firstOf(inference.infer({ model: "hang" }));
  const waiting = assert.rejects(iterator.next(), code(Code.Canceled));
  await until(() => seen.waiting === before.waiting + 1);
  await iterator.return?.();
  await waiting;
  await until(() => seen.canceled === before.canceled + 1);
  assert.equal((await iterator.next()).done, true);
}
