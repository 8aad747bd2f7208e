import assert from "node:assert/strict";
import { test } from "node:test";
import { NdjsonSplitter } from "./ndjson.ts";

const stream = Buffer.from('{"a":1}\n\r\n{"b":"ü☀"}\r\n{"c":3}');

test("lines are the same however the stream is cut", () => {
  for (let size = 1; size <= stream.length; size += 1) {
    const splitter = new NdjsonSplitter();
    const lines: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += size) lines.push(...splitter.push(stream.subarray(at, at + size)));
    const rest = splitter.end();
    if (rest !== undefined) lines.push(rest);
    assert.deepEqual(
      lines.map((line) => JSON.parse(Buffer.from(line).toString())),
      [{ a: 1 }, { b: "ü☀" }, { c: 3 }],
    );
    assert.equal(splitter.end(), undefined);
  }
});

test("a line has a limit", () => {
  const splitter = new NdjsonSplitter(4);
  splitter.push(Buffer.from("1234"));
  assert.throws(() => splitter.push(Buffer.from("5")), /too large/);
});
