import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { InferenceService, type InferResponseSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { createLogger } from "../log.ts";
import { type RpcServer, serveRpc } from "../serve/rpc-server.ts";
import { freePort } from "../server-process.ts";
import { implement } from "../service.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import { Endpoint } from "./endpoint.ts";
import { createRemoteClient } from "./remote-client.ts";

const log = createLogger("error", () => undefined);

/** A server that answers with its own name, and streams as long as it is asked to. */
function serve(name: string, host = "127.0.0.1", port = 0): Promise<RpcServer> {
  const implementations = [
    implement(AuthService, {
      describeScope: () => ({}),
      authenticateKeys: () => ({}),
      authenticateToken: () => ({}),
      authenticate: () => ({ principal: { keyId: name } }),
    }),
    implement(InferenceService, {
      async *infer({ model }, { signal }): AsyncIterable<MessageInitShape<typeof InferResponseSchema>> {
        yield { event: { case: "started", value: { provider: name } } };
        await pause(Number(model), undefined, { signal });
        yield { event: { case: "finished", value: {} } };
      },
    }),
  ];
  return serveRpc({ host, port, implementations, token: undefined, health: () => true, log });
}

function open(options: Partial<ChannelOptions>) {
  const channel = new Channel({ addresses: [], token: undefined, log, ...options });
  const auth = createRemoteClient(AuthService, channel);
  return {
    channel,
    inference: createRemoteClient(InferenceService, channel),
    who: async (): Promise<string> => (await auth.authenticate({})).principal?.keyId ?? "",
  };
}

function code(expected: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === expected;
}

test("calls go to the endpoint with the fewest in flight", async () => {
  const servers = await Promise.all([serve("a"), serve("b")]);
  const { channel, inference, who } = open({ addresses: servers.map(({ address }) => address) });
  const names = new Set([await who(), await who()]);
  assert.deepEqual(names, new Set(["a", "b"]));
  const streams = [inference.infer({ model: "10000" }), inference.infer({ model: "10000" })].map((stream) =>
    stream[Symbol.asyncIterator](),
  );
  const busy = new Set<string>();
  for (const stream of streams) {
    const { value } = await stream.next();
    busy.add(value?.event.case === "started" ? value.event.value.provider : "");
  }
  assert.deepEqual(busy, new Set(["a", "b"]));
  await channel.close();
  await Promise.all(servers.map((server) => server.close(0)));
});

test("a call that can't reach an endpoint goes to the next, and the endpoint is left alone", async () => {
  const alive = await serve("alive");
  const warnings: string[] = [];
  const { channel, who } = open({
    addresses: [`http://127.0.0.1:${await freePort()}`, alive.address],
    log: createLogger("warn", (line) => warnings.push(line)),
  });
  for (let index = 0; index < 6; index++) assert.equal(await who(), "alive");
  assert.equal(warnings.length, 1, "it was tried once");
  await channel.close();
  await alive.close(0);
});

test("a call that a stopping endpoint has not read goes to the next, though it may not be repeated", async () => {
  const stopping = createServer((_request, response) => {
    response.writeHead(408, { connection: "close" }).end();
  }).listen(0, "127.0.0.1");
  await once(stopping, "listening");
  const alive = await serve("alive");
  const address = stopping.address();
  assert.ok(typeof address === "object" && address !== null);
  const { channel, inference } = open({ addresses: [`http://127.0.0.1:${address.port}`, alive.address] });
  for (let call = 0; call < 3; call++) {
    const providers: string[] = [];
    for await (const { event } of inference.infer({ model: "0" })) {
      if (event.case === "started") providers.push(event.value.provider);
    }
    assert.deepEqual(providers, ["alive"]);
  }
  const only = open({ addresses: [`http://127.0.0.1:${address.port}`] });
  await assert.rejects(only.who(), code(Code.Unavailable));
  await Promise.all([channel.close(), only.channel.close(), alive.close(0)]);
  stopping.close();
});

test("no endpoint in reach is Unavailable, and the only one is tried again at once", async () => {
  const first = await serve("first", "127.0.0.1", await freePort());
  const { channel, who } = open({ addresses: [first.address] });
  assert.equal(await who(), "first");
  await first.close(0);
  await assert.rejects(who(), code(Code.Unavailable));
  await assert.rejects(who(), code(Code.Unavailable));
  const second = await serve("second", "127.0.0.1", first.port);
  assert.equal(await who(), "second");
  await channel.close();
  await second.close(0);
});

test("host names are resolved, and every address they have is used", async () => {
  const first = await serve("first");
  const second = await serve("second", "127.0.0.2", first.port);
  const asked: string[] = [];
  const { channel, who } = open({
    addresses: [`http://router.internal:${first.port}`],
    resolve: async (hostname) => {
      asked.push(hostname);
      return ["127.0.0.1", "127.0.0.2"];
    },
  });
  const names = await Promise.all(Array.from({ length: 8 }, who));
  assert.deepEqual(new Set(names), new Set(["first", "second"]));
  assert.deepEqual(asked, ["router.internal"]);
  await channel.close();
  await Promise.all([first.close(0), second.close(0)]);
});

test("an address that leaves the DNS is used no more; a lookup that fails changes nothing", async () => {
  const first = await serve("first");
  const second = await serve("second", "127.0.0.2", first.port);
  let ips: readonly string[] = ["127.0.0.1"];
  const { channel, who } = open({
    addresses: [`http://router.internal:${first.port}`],
    resolve: async () => ips,
  });
  assert.equal(await who(), "first");
  ips = [];
  await channel.resolved();
  assert.equal(await who(), "first");
  ips = ["127.0.0.2"];
  await channel.resolved();
  assert.equal(await who(), "second");
  await channel.close();
  await Promise.all([first.close(0), second.close(0)]);
});

test("a host name that has no address, and no address at all, are Unavailable", async () => {
  const nowhere = open({ addresses: [] });
  await assert.rejects(nowhere.who(), code(Code.Unavailable));
  await nowhere.channel.close();
  const { channel, who } = open({
    addresses: ["http://nobody.internal:1"],
    resolve: async () => {
      throw new Error("ENOTFOUND");
    },
  });
  await assert.rejects(who(), code(Code.Unavailable));
  await channel.close();
});

test("a closed channel and an invalid header fail the call alone", async () => {
  const server = await serve("a");
  const { channel, who } = open({ addresses: [server.address] });
  const auth = createRemoteClient(AuthService, channel);
  await assert.rejects(auth.authenticate({}, { headers: { "x-name": "ü€" } }), code(Code.InvalidArgument));
  const proxied = { "content-length": "999", host: "elsewhere", "content-type": "text/plain" };
  assert.equal((await auth.authenticate({}, { headers: proxied })).principal?.keyId, "a");
  assert.equal(await who(), "a");
  await channel.close();
  await assert.rejects(who(), code(Code.Unavailable));
  await server.close(0);
});

test("an endpoint is ejected for 5 s, doubling up to 60 s, and comes back with one call", async () => {
  const endpoint = new Endpoint({ origin: "http://127.0.0.1:1", host: "x", maxConnections: 1 });
  let now = 0;
  const pauses: (number | undefined)[] = [];
  for (let index = 0; index < 6; index++) {
    endpoint.begin(now);
    pauses.push(endpoint.failed(now));
    pauses.push(endpoint.failed(now + 10));
    now = endpoint.ejectedUntil;
  }
  assert.deepEqual(
    pauses.filter((pause) => pause !== undefined),
    [5_000, 10_000, 20_000, 40_000, 60_000, 60_000],
  );
  endpoint.begin(now);
  assert.ok(endpoint.ejectedUntil > now, "while one call tries it, others stay away");
  endpoint.succeeded();
  assert.equal(endpoint.ejectedUntil, 0);
  await endpoint.pool.close();
});
