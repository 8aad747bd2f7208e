import assert from "node:assert/strict";
import { test } from "node:test";
import { eventName, SseProblem, SseSplitter } from "./sse.ts";

function split(pieces: readonly Uint8Array[]): string[] {
  const splitter = new SseSplitter();
  const events = pieces.flatMap((piece) => splitter.push(piece));
  const rest = splitter.end();
  return [...events, ...(rest === undefined ? [] : [rest])].map((event) => Buffer.from(event).toString());
}

const streams: [string, string, string[]][] = [
  ["nothing", "", []],
  ["LF", "data: 1\n\ndata: 2\n\n", ["data: 1\n\n", "data: 2\n\n"]],
  ["CRLF", "data: 1\r\n\r\ndata: 2\r\n\r\n", ["data: 1\r\n\r\n", "data: 2\r\n\r\n"]],
  ["CR", "data: 1\r\rdata: 2\r\r", ["data: 1\r\r", "data: 2\r\r"]],
  ["mixed", "data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n", ["data: 1\r\n\n", "data: 2\n\r\n", "data: 3\r\r\n"]],
  ["several lines", "event: a\ndata: 1\ndata: 2\n\n", ["event: a\ndata: 1\ndata: 2\n\n"]],
  ["keep-alives", ": PING\n\ndata: 1\n\n: PING\n\n:\r\n\r\ndata: 2\n\n", ["data: 1\n\n", "data: 2\n\n"]],
  ["a comment in an event", ": a\ndata: 1\n\n", [": a\ndata: 1\n\n"]],
  ["blank lines between", "\n\ndata: 1\n\n\n\ndata: 2\n\n\r\n", ["data: 1\n\n", "data: 2\n\n"]],
  ["no last blank line", "data: 1\n\ndata: [DONE]", ["data: 1\n\n", "data: [DONE]\n\n"]],
  ["half a last blank line", "data: 1\n\ndata: [DONE]\n", ["data: 1\n\n", "data: [DONE]\n\n"]],
  ["a byte order mark", "\ufeffdata: 1\n\ndata: \ufeff2\n\n", ["data: 1\n\n", "data: \ufeff2\n\n"]],
  ["a byte order mark before a keep-alive", "\ufeff: PING\r\n\r\n\ufeffdata: 1\n\n", ["\ufeffdata: 1\n\n"]],
  ["a byte order mark and one event", "\ufeffdata: 1", ["data: 1\n\n"]],
  ["letters of several bytes", "data: é😀\n\n", ["data: é😀\n\n"]],
];

test("events do not depend on how the stream is cut", () => {
  for (const [name, text, expected] of streams) {
    const bytes = Buffer.from(text);
    assert.deepEqual(split([bytes]), expected, name);
    for (let size = 1; size < bytes.length; size += 1) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      assert.deepEqual(split(pieces), expected, `${name} in pieces of ${size}`);
    }
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      assert.deepEqual(split([bytes.subarray(0, cut), bytes.subarray(cut)]), expected, `${name} cut at ${cut}`);
    }
  }
});

test("an event within one chunk is not copied", () => {
  const chunk = Buffer.from("data: 1\n\ndata: 2\n\n");
  for (const event of new SseSplitter().push(chunk)) assert.equal(event.buffer, chunk.buffer);
});

test("an event over the limit is refused, whole or in pieces", () => {
  const text = Buffer.from(`data: ${"x".repeat(100)}\n\n`);
  assert.throws(() => new SseSplitter(50).push(text), SseProblem);
  const splitter = new SseSplitter(50);
  splitter.push(text.subarray(0, 40));
  assert.throws(() => splitter.push(text.subarray(40, 60)), SseProblem);
});

test("name of an event", () => {
  const cases: [string, string][] = [
    ["data: 1\n\n", "message"],
    ["event: a\r\ndata:  1\r\n\r\n", "a"],
    ["data: 1\revent:a\r\r", "a"],
    ["eventually: a\ndata: 1\n\n", "message"],
    ["event\ndata: 1\n\n", "message"],
  ];
  for (const [text, name] of cases) assert.equal(eventName(Buffer.from(text)), name, text);
});
