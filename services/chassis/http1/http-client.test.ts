import assert from "node:assert/strict";
import { createHook } from "node:async_hooks";
import { createServer } from "node:net";
import { after, describe, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../server-process.ts";
import { HttpClient, type HttpClientOptions } from "./http-client.ts";
import { Asked, ask, limits } from "./testing/ask.ts";
import { type RawServer, type Script, startRawServer } from "./testing/raw-server.ts";

const hi = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const answerHi: Script = (socket) => socket.write(hi);
const ends: (() => Promise<void>)[] = [];
after(() => Promise.all(ends.map((end) => end())));

/** A server and a client of its own. */
async function pair(script: Script, options: Partial<HttpClientOptions> = {}): Promise<[RawServer, HttpClient]> {
  const server = await startRawServer(script);
  const client = new HttpClient({ ...limits, ...options });
  ends.push(async () => {
    await server.close();
    await client.close();
  });
  return [server, client];
}

/** In a packet of its own, just when the client has read what was sent before. */
function soon(action: () => void): void {
  setImmediate(() => setImmediate(action));
}

async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns += 1) {
    assert.ok(turns < 2000, "it never happens");
    await sleep(1);
  }
}

describe("one exchange", () => {
  test("what is sent, and what comes back", async () => {
    const [server, client] = await pair((socket) => socket.write(`HTTP/1.1 418 No\r\nx-a: 1\r\n${hi.slice(17)}`));
    const sent = {
      method: "POST",
      path: "/p?q",
      headers: { authorization: "Bearer k" },
      body: Buffer.from("body\xff"),
    };
    const { status, headers, body, outcomes } = await ask(client, server.origin, sent);
    assert.deepEqual([status, headers["x-a"], body, outcomes], [418, "1", "hi", 1]);
    assert.equal(
      server.connections[0]?.received,
      `POST /p?q HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nauthorization: Bearer k\r\ncontent-length: 6\r\n\r\nbody\xc3\xbf`,
    );
  });

  test("bodies of any size arrive", async () => {
    const [server, client] = await pair((socket, _, connection) => {
      const done = () => connection.received.endsWith("\n") && socket.write(hi);
      socket.on("data", done);
      done();
    });
    for (const size of [1, 16 * 1024, 16 * 1024 + 1, 3_000_000]) {
      const body = Buffer.alloc(size, "b");
      body[size - 1] = 10;
      const asked = await ask(client, server.origin, { method: "POST", body, path: `/${size}` });
      assert.equal(asked.body, "hi");
      const { received = "" } = server.connections.at(-1) ?? {};
      assert.ok(
        received.endsWith(
          `POST /${size} HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\ncontent-length: ${size}\r\n\r\n${body}`,
        ),
      );
      for (const connection of server.connections) connection.socket.removeAllListeners("data");
      for (const connection of server.connections) connection.socket.destroy();
    }
  });

  test("a piece stays as it was when the next one has come", async () => {
    const [server, client] = await pair(async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n");
      for (const letter of ["a", "b", "c"]) {
        socket.write(letter.repeat(1000));
        await sleep(5);
      }
    });
    const pieces: Buffer[] = [];
    const over = Promise.withResolvers<void>();
    client.send(
      { origin: server.origin, method: "GET", path: "/", headers: {} },
      { head: () => undefined, data: (piece) => pieces.push(piece), end: over.resolve, fail: over.reject },
    );
    await over.promise;
    assert.equal(Buffer.concat(pieces).toString(), `${"a".repeat(1000)}${"b".repeat(1000)}${"c".repeat(1000)}`);
  });

  test("an IPv6 address in brackets", async () => {
    const server = createServer((socket) => socket.on("data", () => socket.end(hi)).on("error", () => undefined));
    const listening = await new Promise((resolve) => {
      server.once("error", () => resolve(false)).listen(0, "::1", () => resolve(true));
    });
    const address = server.address();
    const client = new HttpClient(limits);
    // A machine without IPv6 has nothing to try.
    if (listening && typeof address === "object" && address !== null) {
      assert.equal((await ask(client, `http://[::1]:${address.port}`)).body, "hi");
    }
    await client.close();
    server.close();
  });
});

describe("connections", () => {
  test("one is used again, the last one first", async () => {
    const [server, client] = await pair(answerHi);
    await Promise.all([ask(client, server.origin), ask(client, server.origin)]);
    for (let time = 0; time < 5; time += 1) {
      await sleep(2);
      await ask(client, server.origin);
    }
    assert.equal(server.connections.length, 2);
    const counts = server.connections.map(({ received }) => received.split("GET").length - 1);
    assert.deepEqual(counts.sort(), [1, 6]);
  });

  test("no more than allowed, and who came first is first", async () => {
    const order: string[] = [];
    const [server, client] = await pair(
      async (socket, _, { received }) => {
        order.push(received.match(/(?<=GET )\S+/g)?.at(-1) ?? "");
        await sleep(2);
        socket.write(hi);
      },
      { maxConnections: 1 },
    );
    const paths = ["/1", "/2", "/3", "/4", "/5"];
    const asked = paths.map((path) => new Asked(client, server.origin, { path }));
    asked[2]?.exchange.abort();
    await Promise.all(asked.filter((_, at) => at !== 2).map(({ over }) => over.promise));
    assert.deepEqual(order, ["/1", "/2", "/4", "/5"]);
    assert.equal(server.connections.length, 1);
    assert.equal(asked[2]?.outcomes, 0);
  });

  const onceOnly: readonly (readonly [string, string])[] = [
    ["says that it closes", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"],
    ["speaks HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi"],
    ["sends more than an answer", `${hi}${hi}`],
    ["keeps it for no time", "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nhi"],
    [
      "sends chunks and a length",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ],
  ];
  for (const [name, text] of onceOnly) {
    test(`none is used again whose server ${name}`, async () => {
      const [server, client] = await pair((socket) => socket.write(text));
      for (let time = 0; time < 2; time += 1) assert.equal((await ask(client, server.origin)).body, "hi");
      assert.equal(server.connections.length, 2);
      await until(() => server.connections.every(({ isClosed }) => isClosed));
    });
  }

  test("a body that ends with its connection", async () => {
    const [server, client] = await pair((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nhi"));
    for (let time = 0; time < 2; time += 1) assert.equal((await ask(client, server.origin)).body, "hi");
    assert.equal(server.connections.length, 2);
  });

  test("an answer before the request was sent is one, and the last on its connection", async () => {
    const [server, client] = await pair((socket) => {
      socket.pause();
      socket.write(hi);
    });
    const asked = await ask(client, server.origin, { method: "POST", body: Buffer.alloc(20_000_000) });
    assert.equal(asked.body, "hi");
    server.connections[0]?.socket.resume();
    await until(() => server.connections[0]?.isClosed === true);
  });

  test("what comes behind an answer is not taken for the next one", async () => {
    const poison = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    const [server, client] = await pair((socket, count) => {
      socket.write(hi);
      if (count === 1) soon(() => socket.write(poison));
    });
    for (let time = 0; time < 5; time += 1) {
      assert.equal((await ask(client, server.origin)).body, "hi");
    }
  });

  test("a connection that its server closes while it is idle is not used", async () => {
    const [server, client] = await pair((socket) => {
      socket.write(hi);
      soon(() => socket.end());
    });
    for (let time = 0; time < 5; time += 1) assert.equal((await ask(client, server.origin)).body, "hi");
    assert.equal(server.connections.length, 5);
  });

  test("an idle one is closed after its time, sooner where the server says so", async () => {
    const [server, client] = await pair(answerHi, { keepAliveMs: 40 });
    await ask(client, server.origin);
    await until(() => server.connections[0]?.isClosed === true);
    const hinted = `HTTP/1.1 200 OK\r\nkeep-alive: timeout=2\r\ncontent-length: 2\r\n\r\nhi`;
    const [short, patient] = await pair((socket) => socket.write(hinted), { keepAliveMs: 600_000, bodyTimeoutMs: 40 });
    await ask(patient, short.origin);
    await until(() => short.connections[0]?.isClosed === true);
  });
});

describe("failures", () => {
  const code = async (asked: Promise<Asked>) => (await asked).error?.code;

  test("no connection", async () => {
    const client = new HttpClient(limits);
    const origin = `http://127.0.0.1:${await freePort()}`;
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => code(ask(client, origin)))), [
      "ECONNREFUSED",
      "ECONNREFUSED",
      "ECONNREFUSED",
    ]);
    const nobody = Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
    const lost = new HttpClient({ ...limits, lookup: (_, __, callback) => callback(nobody, "") });
    assert.equal(await code(ask(lost, "http://nowhere.test")), "ENOTFOUND");
    const odd = new HttpClient({
      ...limits,
      lookup: () => {
        throw new Error("odd");
      },
    });
    const both = await Promise.all([ask(odd, "http://nowhere.test"), ask(odd, "http://nowhere.test")]);
    assert.deepEqual(
      both.map(({ error }) => error?.message),
      ["odd", "odd"],
    );
    await Promise.all([client.close(), lost.close(), odd.close()]);
  });

  test("no connection in time, also with others waiting", async () => {
    // Never resolves, as a host that never answers.
    const client = new HttpClient({ ...limits, connectTimeoutMs: 30, maxConnections: 1, lookup: () => undefined });
    const codes = await Promise.all([1, 2].map(() => code(ask(client, "http://slow.test"))));
    assert.deepEqual(codes, ["HTTP_CONNECT_TIMEOUT", "HTTP_CONNECT_TIMEOUT"]);
    await client.close();
  });

  test("silence before the head, within it and within the body", async () => {
    for (const [text, expected] of [
      ["", "HTTP_HEAD_TIMEOUT"],
      ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP_HEAD_TIMEOUT"],
      [hi.slice(0, 20), "HTTP_HEAD_TIMEOUT"],
      [hi.slice(0, -1), "HTTP_BODY_TIMEOUT"],
    ] as const) {
      const [server, client] = await pair((socket) => socket.write(text), { headTimeoutMs: 40, bodyTimeoutMs: 40 });
      assert.equal(await code(ask(client, server.origin)), expected, text);
      await until(() => server.connections[0]?.isClosed === true);
    }
  });

  test("slow is not silent, and who does not read is not kept to a time", async () => {
    const [server, client] = await pair(
      async (socket) => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
        for (let sent = 0; sent < 10; sent += 1) {
          await sleep(15);
          socket.write("x");
        }
      },
      { bodyTimeoutMs: 60 },
    );
    assert.equal((await ask(client, server.origin)).body, "x".repeat(10));
    const asked = new Asked(client, server.origin);
    await asked.begun.promise;
    asked.exchange.pause();
    await sleep(300);
    assert.equal(asked.error, undefined);
    asked.exchange.resume();
    await asked.over.promise;
    assert.equal(asked.body, "x".repeat(10));
  });

  test("the end in the middle", async () => {
    for (let end = 0; end < hi.length; end += 1) {
      const [server, client] = await pair((socket) => socket.end(hi.slice(0, end)));
      assert.equal(await code(ask(client, server.origin)), "HTTP_CUT");
    }
    const [server, client] = await pair((socket) => {
      socket.write(hi.slice(0, -1));
      setImmediate(() => socket.resetAndDestroy());
    });
    assert.equal(await code(ask(client, server.origin)), "ECONNRESET");
  });

  test("what is no HTTP", async () => {
    const [server, client] = await pair((socket) => socket.write("SSH-2.0-x\r\n\r\n"));
    assert.equal(await code(ask(client, server.origin)), "HTTP_MALFORMED");
    await until(() => server.connections[0]?.isClosed === true);
  });

  test("what cannot be sent is said at once", async () => {
    const client = new HttpClient(limits);
    for (const origin of ["ftp://a.test", "nothing"]) {
      assert.throws(() => new Asked(client, origin), { code: "HTTP_REQUEST_INVALID" });
    }
    assert.throws(() => new Asked(client, "http://a.test", { headers: { "x-a": "\n" } }), {
      code: "HTTP_REQUEST_INVALID",
    });
    // Nothing is left of it that `close` would wait for.
    await client.close();
  });
});

describe("cancelling", () => {
  const states: readonly (readonly [string, Script, (asked: Asked, server: RawServer) => Promise<unknown>])[] = [
    ["in line", () => undefined, async () => undefined],
    ["while it connects", () => undefined, () => nextTurn()],
    ["before the head", () => undefined, (_, server) => until(() => server.connections[0]?.received !== "")],
    ["within the body", (socket) => socket.write(hi.slice(0, -1)), (asked) => asked.begun.promise],
  ];
  for (const [name, script, wait] of states) {
    test(name, async () => {
      const [server, client] = await pair(script);
      const asked = new Asked(client, server.origin);
      await wait(asked, server);
      asked.exchange.abort();
      asked.exchange.abort();
      await client.close();
      assert.equal(asked.outcomes, 0);
      await until(() => server.connections.every(({ isClosed }) => isClosed));
    });
  }

  test("when it is over, the connection is left alone", async () => {
    const [server, client] = await pair(answerHi);
    const asked = await ask(client, server.origin);
    asked.exchange.abort();
    asked.exchange.pause();
    assert.equal((await ask(client, server.origin)).body, "hi");
    assert.equal(server.connections.length, 1);
  });
});

describe("a large body", () => {
  test("waits at the server while nobody reads, and comes whole", async () => {
    const size = 30_000_000;
    let sent = 0;
    const [server, client] = await pair((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
      const block = Buffer.alloc(100_000, "x");
      const more = () => {
        while (sent < size) {
          sent += block.length;
          if (!socket.write(block)) return;
        }
      };
      socket.on("drain", more);
      more();
    });
    const asked = new Asked(client, server.origin);
    await asked.begun.promise;
    asked.exchange.pause();
    await sleep(100);
    const [read, stopped] = [asked.body.length, sent];
    await sleep(100);
    assert.deepEqual([asked.body.length, sent], [read, stopped]);
    assert.ok(stopped < size);
    asked.exchange.resume();
    await asked.over.promise;
    assert.equal(asked.body.length, size);
    // It may be read on from: the pause was the exchange's.
    assert.equal(asked.error, undefined);
  });
});

describe("closing", () => {
  test("waits for those in flight and in line, takes no more and leaves nothing", async () => {
    const [server, client] = await pair(
      async (socket) => {
        await sleep(20);
        socket.write(hi);
      },
      { maxConnections: 2 },
    );
    const asked = [1, 2, 3, 4, 5].map(() => new Asked(client, server.origin));
    const closing = client.close();
    assert.throws(() => new Asked(client, server.origin), { code: "HTTP_CLOSED" });
    await closing;
    assert.deepEqual(
      asked.map(({ body }) => body),
      ["hi", "hi", "hi", "hi", "hi"],
    );
    await until(() => server.connections.every(({ isClosed }) => isClosed));
    await client.close();
  });

  test("idle connections are closed, and a client that was never used closes", async () => {
    const [server, client] = await pair(answerHi);
    await ask(client, server.origin);
    await client.close();
    await until(() => server.connections[0]?.isClosed === true);
    await new HttpClient(limits).close();
  });

  test("it leaves no timer and no socket behind", async () => {
    await Promise.all(ends.splice(0).map((end) => end()));
    const alive = new Map<number, string>();
    const watch = createHook({
      init: (id, type) =>
        /^(Timeout|Immediate|TCPWRAP|TCPCONNECTWRAP|GETADDRINFOREQWRAP)$/.test(type) && alive.set(id, type),
      destroy: (id) => alive.delete(id),
    }).enable();
    const [server, client] = await pair(answerHi);
    const cancelled = new Asked(client, server.origin);
    await Promise.all([1, 2, 3].map(() => ask(client, server.origin)));
    cancelled.exchange.abort();
    assert.ok([...alive.values()].includes("Timeout"));
    await Promise.all([client.close(), server.close()]);
    ends.pop();
    for (let turns = 0; turns < 20; turns += 1) await nextTurn();
    watch.disable();
    const left = [...alive.values()].filter((type) => type !== "Immediate");
    assert.deepEqual(left, []);
  });
});
