import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import { ClientGone, readBody } from "./read-body.ts";

const limit = 20;

/** A server that reads one body, and a bare connection to it. */
async function reading() {
  const outcome = Promise.withResolvers<string>();
  const began = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    readBody(request, limit).then(
      (body) => {
        outcome.resolve(body.toString());
        response.end();
      },
      (error: unknown) => {
        outcome.resolve(error instanceof ClientGone ? "gone" : String(error));
        response.destroy();
      },
    );
    began.resolve();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket: Socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => undefined);
  return {
    socket,
    began: began.promise,
    outcome: outcome.promise,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const post = "POST / HTTP/1.1\r\nhost: a\r\n";

test("a body that comes with its head is read, and one that is none", async () => {
  for (const [rest, expected] of [
    ["content-length: 7\r\n\r\nlike me", "like me"],
    ["content-length: 0\r\n\r\n", ""],
    ["transfer-encoding: chunked\r\n\r\n4\r\nlike\r\n3\r\n me\r\n0\r\n\r\n", "like me"],
  ]) {
    await using server = await reading();
    server.socket.write(post + rest);
    assert.equal(await server.outcome, expected);
  }
});

test("a body that comes later is read, and one that is begun with its head", async () => {
  for (const begun of ["", "li"]) {
    await using server = await reading();
    server.socket.write(`${post}content-length: 7\r\n\r\n${begun}`);
    await server.began;
    server.socket.write("like me".slice(begun.length));
    assert.equal(await server.outcome, "like me");
  }
});

test("a body over the limit is refused, however it comes", async () => {
  const chunk = "b\r\nhello world\r\n";
  for (const [first, second] of [
    ["content-length: 21\r\n\r\n", ""],
    [`transfer-encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`, ""],
    [`transfer-encoding: chunked\r\n\r\n${chunk}`, chunk],
  ]) {
    await using server = await reading();
    server.socket.write(`${post}${first}`);
    await server.began;
    server.socket.write(second ?? "");
    assert.match(await server.outcome, /larger than 20 bytes/);
  }
});

test("a client that leaves in the middle of its body is told from one that is done", async () => {
  await using server = await reading();
  server.socket.write(`${post}content-length: 7\r\n\r\nli`);
  await server.began;
  server.socket.destroy();
  assert.equal(await server.outcome, "gone");
});
