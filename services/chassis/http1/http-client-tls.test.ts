import assert from "node:assert/strict";
import { once } from "node:events";
import type { LookupFunction } from "node:net";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates, TLSSocket } from "node:tls";
import { Worker } from "node:worker_threads";
import { createAuthority } from "../testing/certificates.ts";
import { HttpClient } from "./http-client.ts";
import { Asked, ask, limits } from "./testing/ask.ts";
import { answerLargely, exchangeLargely } from "./testing/large-bodies.ts";
import { type RawServer, type Script, startRawServer } from "./testing/raw-server.ts";

const hi = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const authority = await createAuthority("trusted");
const stranger = await createAuthority("stranger");
// As NODE_EXTRA_CA_CERTS does when the process starts.
setDefaultCACertificates([...getCACertificates(), authority.certificate]);

const servers: RawServer[] = [];
/** Names lead to this machine. */
const lookup: LookupFunction = (_, options, callback) =>
  options.all ? callback(null, [{ address: "127.0.0.1", family: 4 }]) : callback(null, "127.0.0.1", 4);
const client = new HttpClient({ ...limits, lookup });
after(async () => {
  await client.close();
  await Promise.all(servers.map((server) => server.close()));
});

async function secureServer(script: Script, names?: readonly string[], by = authority): Promise<RawServer> {
  const { certificate, key } = await by.issue(names && { names });
  const server = await startRawServer(script, { cert: certificate, key, ALPNProtocols: ["h2", "http/1.1"] });
  servers.push(server);
  return server;
}

const socketOf = (server: RawServer, at = 0) => {
  const socket = server.connections[at]?.socket;
  assert.ok(socket instanceof TLSSocket);
  return socket;
};

test("to an address and to a name, which is told; HTTP/1.1 is agreed upon", async () => {
  const server = await secureServer((socket) => socket.write(hi));
  assert.equal((await ask(client, server.origin)).body, "hi");
  assert.equal(socketOf(server).alpnProtocol, "http/1.1");
  const named = await secureServer((socket) => socket.write(hi), ["api.test"]);
  assert.equal((await ask(client, `https://api.test:${named.port}`)).body, "hi");
  assert.equal(Reflect.get(socketOf(named), "servername"), "api.test");
  assert.match(named.connections[0]?.received ?? "", new RegExp(`^GET / HTTP/1.1\r\nhost: api.test:${named.port}\r\n`));
});

test("nothing is sent to who cannot prove its name", async () => {
  const cases = [
    [await secureServer((socket) => socket.write(hi), undefined, stranger), /^(UNABLE_TO|SELF_SIGNED)/],
    [await secureServer((socket) => socket.write(hi), ["other.test"]), /^ERR_TLS_CERT_ALTNAME_INVALID$/],
  ] as const;
  for (const [server, code] of cases) {
    const { error, outcomes } = await ask(client, server.origin, { headers: { authorization: "Bearer secret" } });
    assert.match(error?.code ?? "", code);
    assert.equal(outcomes, 1);
    assert.ok(server.connections.every(({ received }) => received === ""));
  }
});

test("a second connection goes on with the session of the first", async () => {
  const reused: boolean[] = [];
  const server = await secureServer((socket) => {
    if (socket instanceof TLSSocket) reused.push(socket.isSessionReused());
    socket.write(hi);
  });
  await ask(client, server.origin);
  await sleep(20);
  await Promise.all([ask(client, server.origin), ask(client, server.origin)]);
  assert.deepEqual(reused, [false, false, true]);
});

/** A server with a thread of its own: it answers before this one has heard that all was written. */
const quickServer = `
  const { createServer } = require("node:tls");
  const { parentPort, workerData } = require("node:worker_threads");
  let connections = 0;
  const server = createServer(workerData, (socket) => {
    connections += 1;
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nhi")).on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
  parentPort.on("message", () => parentPort.postMessage(connections));
`;

test("connections are used again, also where an answer is quicker than the word that all was written", async (t) => {
  const { certificate, key } = await authority.issue();
  const server = new Worker(quickServer, { eval: true, workerData: { cert: certificate, key } });
  t.after(() => server.terminate());
  const [port] = await once(server, "message");
  let left = 2000;
  const lane = async () => {
    for (; left > 0; left -= 1) {
      const asked = await ask(client, `https://127.0.0.1:${port}`, { method: "POST", body: Buffer.alloc(100) });
      assert.equal(asked.body, "hi");
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  server.postMessage("how many");
  assert.deepEqual(await once(server, "message"), [8]);
});

test("large bodies, with somebody who does not read for a while", async () => {
  const server = await secureServer(answerLargely);
  await exchangeLargely(client, server.origin);
});

test("an end in the middle, and a connection that is no TLS", async () => {
  const server = await secureServer((socket) => socket.end(hi.slice(0, -1)));
  assert.equal((await ask(client, server.origin)).error?.code, "HTTP_CUT");
  const plain = await startRawServer(() => undefined);
  servers.push(plain);
  const answers = plain.connections;
  const asked = new Asked(client, plain.origin.replace("http:", "https:"));
  while (answers.length === 0) await sleep(1);
  answers[0]?.socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  await asked.over.promise;
  assert.ok(asked.error !== undefined && asked.status === 0);
});
