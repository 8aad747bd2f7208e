import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./body-json.ts";

test("a body is one JSON object in UTF-8", () => {
  assert.deepEqual(parseObject(Buffer.from('{"a":"é\\ud800\\u0000"}')), { a: "é\ud800\0" });
  const cases: [bytes: Buffer, said: RegExp][] = [
    [Buffer.alloc(0), /no body/],
    [Buffer.from("[]"), /must be a JSON object/],
    [Buffer.from("null"), /must be a JSON object/],
    [Buffer.from('{"a":"é"}', "latin1"), /not valid UTF-8/],
    [Buffer.from('{"a":1}', "utf16le"), /Invalid JSON payload/],
    [Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]), /not valid UTF-8/],
  ];
  for (const [bytes, said] of cases) assert.throws(() => parseObject(bytes), said);
});

test("no name in a body reaches a prototype", () => {
  const parsed = parseObject(Buffer.from('{"__proto__":{"model":"m"},"constructor":1}'));
  assert.equal(parsed.model, undefined);
  assert.equal(Object.getPrototypeOf(parsed), Object.prototype);
});
