import assert from "node:assert/strict";
import { test } from "node:test";
import { findJsonFault } from "./json-fault.ts";

test("the place of a fault is named", () => {
  const cases: [text: string, said: RegExp][] = [
    ["", /ends where a value was expected at position 0/],
    ["{", /ends where a name in double quotes or "}" was expected at position 1/],
    ['{"a"', /ends where ":" was expected at position 4/],
    ['{"a":}', /expected a value at position 5/],
    ['{"a":1,}', /expected a name in double quotes at position 7/],
    ["{'a':1}", /expected a name in double quotes or "}" at position 1 \(line 1, column 2\)/],
    ['{\n "a": tru}', /expected a value at position 8 \(line 2, column 7\)/],
    ['{"a":[1,]}', /expected a value at position 8/],
    ['{"a":[1 2]}', /expected "," or "\]" at position 8/],
    ['{"a":1}x', /expected the end of the body at position 7/],
    ['{"a":01}', /expected "," or "}" at position 6/],
    ['{"a":"x', /ends inside a string that begins at position 5/],
    ['{"a":"\\x"}', /bad escape in a string at position 6/],
    ['{"a":"\n"}', /control character in a string at position 6/],
    ['{"a":[}', /expected a value or "\]" at position 6/],
    ["[".repeat(100_000), /ends where a value or "\]"/],
  ];
  for (const [text, said] of cases) {
    assert.throws(() => JSON.parse(text));
    assert.match(findJsonFault(text), said, text.slice(0, 50));
  }
});

test("whatever JSON.parse refuses gets a place", () => {
  const valid = '{"a":[1,-2.5e3,true,null,"x\\u00e9"],"b":{"c":{}}}';
  for (let cut = 0; cut < valid.length; cut += 1) {
    for (const text of [valid.slice(0, cut), `${valid.slice(0, cut)}@${valid.slice(cut + 1)}`]) {
      if (isJson(text)) continue;
      assert.match(findJsonFault(text), /at position \d+/, text);
    }
  }
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
