import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates, TLSSocket } from "node:tls";
import { Secret } from "../secret.ts";
import { createAuthority } from "../testing/certificates.ts";
import { type ForwardProxyOptions, startForwardProxy } from "../testing/forward-proxy.ts";
import { HttpClient, type HttpClientOptions } from "./http-client.ts";
import { readOrigin } from "./open-socket.ts";
import { Asked, ask, limits } from "./testing/ask.ts";
import { answerLargely, exchangeLargely } from "./testing/large-bodies.ts";
import { type Script, startRawServer } from "./testing/raw-server.ts";

const hi = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const authority = await createAuthority("trusted");
setDefaultCACertificates([...getCACertificates(), authority.certificate]);

const closing: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

function clientOf(proxy: string, authorization?: string, options: Partial<HttpClientOptions> = {}): HttpClient {
  const way = {
    origin: readOrigin(proxy),
    authorization: authorization === undefined ? undefined : new Secret(authorization),
  };
  const client = new HttpClient({ ...limits, proxyFor: () => way, ...options });
  closing.push(() => client.close());
  return client;
}

async function secureServer(script: Script, by = authority) {
  const { certificate, key } = await by.issue({ names: ["api.test"] });
  const server = await startRawServer(script, { cert: certificate, key });
  closing.push(() => server.close());
  return { ...server, origin: `https://api.test:${server.port}` };
}

async function rawServer(script: Script) {
  const server = await startRawServer(script);
  closing.push(() => server.close());
  return server;
}

async function proxyOf(options: ForwardProxyOptions = {}) {
  const proxy = await startForwardProxy(options);
  closing.push(() => proxy.close());
  return proxy;
}

test("a secure origin is reached through a tunnel, which is kept, and the proxy sees nothing of the call", async () => {
  const proxy = await proxyOf({ authorization: "Basic abc" });
  const server = await secureServer((socket) => socket.write(hi));
  const client = clientOf(proxy.url, "Basic abc");
  for (const path of ["/one", "/two"]) {
    const asked = await ask(client, server.origin, { path });
    assert.deepEqual([asked.error, asked.status, asked.body, asked.outcomes], [undefined, 200, "hi", 1]);
  }
  assert.deepEqual(proxy.asked, [`CONNECT api.test:${server.port}`]);
  assert.deepEqual(proxy.authorizations, ["Basic abc"]);
  const [connection] = server.connections;
  assert.equal(
    connection?.received,
    `GET /one HTTP/1.1\r\nhost: api.test:${server.port}\r\n\r\nGET /two HTTP/1.1\r\nhost: api.test:${server.port}\r\n\r\n`,
  );
});

test("a proxy that speaks TLS itself", async () => {
  const proxy = await proxyOf({ identity: await authority.issue() });
  const server = await secureServer((socket) => socket.write(hi));
  assert.equal((await ask(clientOf(proxy.url), server.origin)).body, "hi");
  const plain = await rawServer((socket) => socket.write(hi));
  assert.equal((await ask(clientOf(proxy.url), plain.origin)).body, "hi");
  assert.deepEqual(proxy.asked, [`CONNECT api.test:${server.port}`, `GET ${plain.origin}/`]);
});

test("an origin without TLS is asked for by its whole address", async () => {
  const proxy = await proxyOf({ authorization: "Basic abc" });
  const server = await rawServer((socket) => socket.write(hi));
  const client = clientOf(proxy.url, "Basic abc");
  const post = { method: "POST", path: "/x?y=z", body: Buffer.from("hello"), headers: { "x-any": "1" } };
  for (let time = 0; time < 2; time += 1) assert.equal((await ask(client, server.origin, post)).body, "hi");
  assert.deepEqual(proxy.asked, Array(2).fill(`POST ${server.origin}/x?y=z`));
  assert.deepEqual(proxy.authorizations, ["Basic abc", "Basic abc"]);
  assert.match(
    server.connections[0]?.received ?? "",
    new RegExp(`^POST /x\\?y=z HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\n`),
  );
  assert.doesNotMatch(server.connections[0]?.received ?? "", /proxy-authorization/i);
});

test("large bodies go through a tunnel as they are, both ways, at the reader's pace", async () => {
  const proxy = await proxyOf();
  const server = await secureServer(answerLargely);
  await exchangeLargely(clientOf(proxy.url), server.origin);
});

test("nothing is sent to who cannot prove its name, unless that is asked for", async () => {
  const proxy = await proxyOf();
  const server = await secureServer((socket) => socket.write(hi), await createAuthority("stranger"));
  const secret = { headers: { authorization: "Bearer secret" } };
  assert.match((await ask(clientOf(proxy.url), server.origin, secret)).error?.code ?? "", /^(UNABLE_TO|SELF_SIGNED)/);
  assert.ok(server.connections.every(({ received }) => received === ""));
  const trusting = clientOf(proxy.url, undefined, { verifiesCertificates: false });
  assert.equal((await ask(trusting, server.origin)).body, "hi");
});

test("a second tunnel goes on with the TLS session of the first", async () => {
  const reused: boolean[] = [];
  const proxy = await proxyOf();
  // Both are answered when both have asked, so that neither waits for the other's connection.
  const server = await secureServer((socket) => {
    if (socket instanceof TLSSocket) reused.push(socket.isSessionReused());
    if (reused.length === 1) socket.write(hi);
    else if (reused.length === 3) for (const connection of server.connections) connection.socket.write(hi);
  });
  const client = clientOf(proxy.url);
  await ask(client, server.origin);
  await sleep(20);
  await Promise.all([ask(client, server.origin), ask(client, server.origin)]);
  assert.deepEqual(reused, [false, false, true]);
});

test("a proxy that refuses, answers rubbish, speaks too early or closes: the caller hears once, and nothing was sent", async () => {
  const answers: readonly (readonly [string, string])[] = [
    ["HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 4\r\n\r\nnope", "HTTP_PROXY_REFUSED"],
    ["HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP_PROXY_REFUSED"],
    ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP_PROXY_REFUSED"],
    ["HTTP/1.1 200 OK\r\n\r\nearly", "HTTP_PROXY_REFUSED"],
    [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}`, "HTTP_PROXY_REFUSED"],
  ];
  for (const [answer, code] of answers) {
    const proxy = await rawServer(() => undefined);
    const asked = new Asked(clientOf(proxy.origin), "https://api.test", {
      headers: { authorization: "Bearer secret" },
    });
    while ((proxy.connections[0]?.received ?? "") === "") await sleep(1);
    assert.equal(proxy.connections[0]?.received, "CONNECT api.test:443 HTTP/1.1\r\nhost: api.test:443\r\n\r\n");
    proxy.connections[0]?.socket.write(answer);
    await asked.over.promise;
    await sleep(5);
    assert.deepEqual([asked.error?.code, asked.outcomes], [code, 1], answer.slice(0, 40));
    while (proxy.connections[0]?.isClosed !== true) await sleep(1);
  }
  const closes = await rawServer(() => undefined);
  const cut = new Asked(clientOf(closes.origin), "https://api.test");
  while ((closes.connections[0]?.received ?? "") === "") await sleep(1);
  closes.connections[0]?.socket.end();
  await cut.over.promise;
  assert.equal(cut.error?.code, "HTTP_PROXY_UNREACHABLE");
});

test("a proxy that is not there is told apart from an origin that is not", async () => {
  const gone = await startRawServer(() => undefined);
  await gone.close();
  for (const origin of ["https://api.test", "http://api.test"]) {
    const { error } = await ask(clientOf(gone.origin), origin);
    assert.equal(error?.code, "HTTP_PROXY_UNREACHABLE");
    assert.match(String(error?.cause), /ECONNREFUSED/);
  }
});

test("a proxy that says nothing is given up after the time for a connection", async () => {
  const silent = await rawServer(() => undefined);
  const client = clientOf(silent.origin, undefined, { connectTimeoutMs: 50 });
  assert.equal((await ask(client, "https://api.test")).error?.code, "HTTP_CONNECT_TIMEOUT");
});

test("who hangs up closes the tunnel; a tunnel that is cut ends its call", async () => {
  const proxy = await proxyOf();
  const server = await secureServer((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhi"));
  const client = clientOf(proxy.url);
  const left = new Asked(client, server.origin);
  await left.begun.promise;
  left.exchange.abort();
  while (server.connections[0]?.isClosed !== true) await sleep(1);
  assert.equal(left.outcomes, 0);
  const cut = new Asked(client, server.origin);
  await cut.begun.promise;
  server.connections[1]?.socket.destroy();
  await cut.over.promise;
  assert.equal(cut.error?.code, "HTTP_CUT");
});
