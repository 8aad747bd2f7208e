import assert from "node:assert/strict";
import { test } from "node:test";
import { editJson, findMember, findMembers, JsonObjectProblem, memberText, scanObject } from "./json-members.ts";

const edit = (text: string, edits: Parameters<typeof editJson>[1]): string =>
  Buffer.from(editJson(Buffer.from(text), edits)).toString();

test("edits leave every other byte alone", () => {
  const cases: [string, Parameters<typeof editJson>[1], string][] = [
    ['{"a":1}', {}, '{"a":1}'],
    ['{"a":1}', { set: { a: "2" } }, '{"a":2}'],
    ['{"a":1}', { set: { b: '"x"' } }, '{"a":1,"b":"x"}'],
    ["{}", { set: { b: "1" } }, '{"b":1}'],
    [" {\n} ", { set: { b: "1" } }, ' {"b":1\n} '],
    ['{"ä":"ö"}', { set: { ü: '"漢"', ä: '"é"' } }, '{"ä":"é","ü":"漢"}'],
    ['{"a":1}', { setIfAbsent: { a: "2", b: "3" } }, '{"a":1,"b":3}'],
    ['{"a":null}', { setIfAbsent: { a: "2" } }, '{"a":null}'],
    ['{"a":1,"b":2,"c":3}', { remove: ["b"] }, '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":3}', { remove: ["a", "c"] }, '{"b":2}'],
    ['{"a":1}', { remove: ["a"] }, "{}"],
    ['{"a":1}', { remove: ["a"], set: { b: "2" } }, '{"b":2}'],
    ['{"a":1}', { remove: ["a"], set: { a: "2" } }, '{"a":2}'],
    ['{"a":1,"a":2}', { set: { a: "3" } }, '{"a":3,"a":3}'],
    ['{"a":1,"b":0,"a":2}', { remove: ["a"] }, '{"b":0}'],
    ['{"\\u0061":1}', { set: { a: "3" } }, '{"\\u0061":3}'],
    [
      '{\n  "a": 1e400 ,\n  "b": 12345678901234567890\n}',
      { set: { c: "0" } },
      '{\n  "a": 1e400 ,\n  "b": 12345678901234567890,"c":0\n}',
    ],
    ['{"a":"\\"}","b":[{"a":"]"}],"c":{"a":1}}', { set: { a: "0" } }, '{"a":0,"b":[{"a":"]"}],"c":{"a":1}}'],
    ['{"é":"ü","z":1}', { remove: ["é"] }, '{"z":1}'],
    ['{"__proto__":1,"a":2}', { remove: ["__proto__"] }, '{"a":2}'],
  ];
  for (const [input, edits, expected] of cases) assert.equal(edit(input, edits), expected, input);
});

test("an input that needs no change is returned as it is", () => {
  const input = Buffer.from('{"a": 1}');
  assert.equal(editJson(input, { remove: ["b"], setIfAbsent: { a: "2" } }), input);
  assert.equal(editJson(input, { set: { a: "1" } }), input);
});

test("malformed objects are refused", () => {
  const cases = [
    "",
    " ",
    "1",
    "[]",
    '"a"',
    "null",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    "{,}",
    '{"a" 1}',
    "{a:1}",
    '{"a":1}}',
    '{"a":1} x',
    '{"a":[1}',
    '{"a":{]}',
    '{"a":"x}',
    '{"a":tru}',
    '{"a":01}',
    '{"a":-}',
    '{"a":1 "b":2}',
    '{"a":}',
    '{"\\x":1}',
    `{"a":"${"x".repeat(100)}\\"}`,
    `{"a":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
    '\ufeff{"a":1}',
  ];
  for (const text of cases) assert.throws(() => findMembers(Buffer.from(text)), JsonObjectProblem, text.slice(0, 60));
});

/** A small deterministic generator (mulberry32), so that a failure can be repeated. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const names = ["a", "b", "model", "é", 'q"uote', "back\\slash", "", "tab\t"];

function randomText(random: (below: number) => number): string {
  const alphabet = ["a", '"', "\\", "\n", "}", "]", "{", "[", ",", ":", "é", "😀", "\u0001", "x".repeat(70)];
  let text = "";
  for (let left = random(6); left > 0; left -= 1) text += alphabet[random(alphabet.length)];
  return text;
}

function randomValue(random: (below: number) => number, depth: number): unknown {
  const scalars = [null, true, false, 0, -1.5e-7, 123456789, randomText(random)];
  const kind = random(depth > 3 ? 7 : 9);
  if (kind < 7) return scalars[kind];
  if (kind === 7) return Array.from({ length: random(4) }, () => randomValue(random, depth + 1));
  return Object.fromEntries(
    Array.from({ length: random(4) }, () => [randomText(random), randomValue(random, depth + 1)]),
  );
}

function randomSpelling(random: (below: number) => number, name: string): string {
  const plain = JSON.stringify(name);
  if (random(4) > 0) return plain;
  return `"${[...Buffer.from(name, "utf16le").swap16().toString("hex").matchAll(/.{4}/g)].map(([hex]) => `\\u${hex}`).join("")}"`;
}

function randomObject(random: (below: number) => number): string {
  const space = () => [" ", "", "\n", "\t\r\n"][random(4)];
  const members = Array.from({ length: random(6) }, () => {
    const name = randomSpelling(random, names[random(names.length)] ?? "");
    const value = JSON.stringify(randomValue(random, 0), null, random(3));
    return `${space()}${name}${space()}:${space()}${value}${space()}`;
  });
  return `${space()}{${members.length === 0 ? space() : members.join(",")}}${space()}`;
}

test("for any object and any edits the result parses to what the edits say", () => {
  const random = createRandom(7);
  for (let round = 0; round < 3000; round += 1) {
    const text = randomObject(random);
    const pick = () => names.filter(() => random(4) === 0);
    const set = Object.fromEntries(pick().map((name) => [name, JSON.stringify(randomValue(random, 2))]));
    const setIfAbsent = Object.fromEntries(pick().map((name) => [name, JSON.stringify(randomValue(random, 2))]));
    const remove = pick();
    const parsed: Record<string, unknown> = JSON.parse(text);
    const expected = { ...parsed };
    for (const name of remove) delete expected[name];
    for (const [name, value] of Object.entries(setIfAbsent)) if (!(name in parsed)) expected[name] = JSON.parse(value);
    for (const [name, value] of Object.entries(set)) expected[name] = JSON.parse(value);
    const result = edit(text, { set, setIfAbsent, remove });
    assert.deepEqual(JSON.parse(result), expected, `${text} → ${result}`);
    for (const member of findMembers(Buffer.from(result)))
      assert.ok(member.name in expected, `${member.name} in ${result}`);
  }
});

test("a broken object is refused or stays broken, whatever is broken", () => {
  const random = createRandom(11);
  for (let round = 0; round < 3000; round += 1) {
    const bytes = Buffer.from(randomObject(random));
    const at = random(bytes.length);
    const broken =
      random(2) === 0 ? bytes.subarray(0, at) : Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    if (isJson(broken.toString())) continue;
    try {
      const result = editJson(broken, { set: { added: "1" } });
      assert.ok(!isJson(Buffer.from(result).toString()), broken.toString());
    } catch (error) {
      assert.ok(error instanceof JsonObjectProblem, String(error));
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

test("members are read as JSON.parse reads them", () => {
  const object = scanObject(Buffer.from('{"a":1, "b" : {"c":[true]}, "a":"é"}'));
  const read = (name: string) => {
    const member = findMember(object.members, name);
    return member === undefined ? undefined : JSON.parse(memberText(object, member));
  };
  assert.deepEqual([read("a"), read("b"), read("c")], ["é", { c: [true] }, undefined]);
});
