import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startRawServer } from "#chassis/http1/testing/raw-server.ts";
import { type ScriptedAnswer, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { cancellationOf } from "./cancellation.ts";
import { readEnv } from "./config.ts";
import { createUpstream } from "./upstream.ts";

const server = await startFakeUpstream();
const upstream = createUpstream(readEnv({}));
after(async () => {
  await server.close();
  await upstream.close();
});

function send(answer: ScriptedAnswer, signal = new AbortController().signal) {
  server.answer(answer);
  const request = {
    method: "POST" as const,
    url: `${server.url}/v1?q`,
    headers: { "x-a": "b" },
    body: Buffer.from("{}"),
  };
  return upstream.send(request, cancellationOf(signal));
}

test("what comes in one read is there at once, within the limit", async () => {
  const raw = await startRawServer((socket) => {
    socket.write("HTTP/1.1 201 Created\r\nX-B: c\r\nx-b: d\r\ncontent-length: 5\r\n\r\nwhole");
  });
  const request = {
    method: "POST" as const,
    url: `${raw.origin}/v1?q`,
    headers: { "x-a": "b" },
    body: Buffer.from("{}"),
  };
  const answer = await upstream.send(request, cancellationOf(new AbortController().signal));
  assert.deepEqual([answer.status, answer.headers["x-b"]], [201, "c, d"]);
  assert.equal(answer.readRest?.(4), undefined);
  assert.equal(Buffer.concat(answer.readRest?.(5) ?? []).toString(), "whole");
  assert.equal(
    raw.connections[0]?.received,
    `POST /v1?q HTTP/1.1\r\nhost: 127.0.0.1:${raw.port}\r\nx-a: b\r\naccept-encoding: identity\r\ncontent-length: 2\r\n\r\n{}`,
  );
  await raw.close();
});

test("pieces come as they are there, then the end", async () => {
  const answer = await send({ body: "abcdef", chunking: { bytes: 2 }, pauseMs: 2 });
  let text = "";
  for (let pieces = await answer.read(); pieces !== undefined; pieces = await answer.read()) {
    text += Buffer.concat(pieces).toString();
  }
  assert.equal(text, "abcdef");
  assert.equal(await answer.read(), undefined);
});

test("what came before a failure is read before it", async () => {
  const answer = await send({ body: "begun", ending: "cut" });
  await sleep(20);
  assert.equal(Buffer.concat((await answer.read()) ?? []).toString(), "begun");
  await assert.rejects(answer.read(), { code: "HTTP_CUT" });
});

test("a released answer gives its connection to the next call if it ends, else it is cut", async () => {
  const first = await send({ body: "ab", chunking: { bytes: 1 }, pauseMs: 20 });
  const before = server.connections;
  first.release();
  // More turns of the loop than the rest of the answer needs: a machine that stalls shortens one of them alone.
  for (let turns = 0; turns < 10; turns += 1) await sleep(20);
  (await send({ body: "" })).cancel();
  assert.equal(server.connections, before);
  const second = await send({ body: "ab", ending: "hang" });
  second.release();
  await server.requests.at(-1)?.aborted;
});

test("a cancelled answer is cut at once, and an aborted call rejects with its reason", async () => {
  (await send({ body: "ab", ending: "hang" })).cancel();
  await server.requests.at(-1)?.aborted;
  const controller = new AbortController();
  const hanging = send({ instead: "hang" }, controller.signal);
  await sleep(20);
  controller.abort(new Error("gone"));
  await assert.rejects(hanging, /gone/);
  await server.requests.at(-1)?.aborted;
  await assert.rejects(send({}, controller.signal), /gone/);
  const reading = new AbortController();
  const answer = await send({ body: "ab", ending: "hang" }, reading.signal);
  await answer.read();
  const next = answer.read();
  reading.abort(new Error("gone too"));
  await assert.rejects(next, /gone too/);
});
