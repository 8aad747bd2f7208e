import assert from "node:assert/strict";
import { test } from "node:test";
import { packEvents, unpackEvents } from "./event-pack.ts";

const event = (text: string) => new TextEncoder().encode(text);
const texts = (events: readonly Uint8Array[]) => events.map((each) => new TextDecoder().decode(each));
const fail = (error: unknown) => assert.fail(String(error));

test("events come out of their packs as they went in, in order", () => {
  const sizes = [0, 1, 100, 127, 128, 200, 20_000, 60_000, 70_000, 5];
  const events = sizes.map((size, at) => event(String(at % 10).repeat(size)));
  const packs = packEvents(events);
  assert.ok(packs.length > 1 && packs.length < events.length);
  assert.deepEqual(texts(packs.flatMap((pack) => unpackEvents(pack, fail))), texts(events));
  assert.deepEqual(packEvents([]), []);
});

test("what cannot be read is told, and what can be is not lost with it", () => {
  const [pack = new Uint8Array()] = packEvents([event("first"), event("second"), event("third")]);
  const cases: [name: string, bytes: Uint8Array, kept: string[]][] = [
    ["a pack cut short in an event", pack.subarray(0, pack.length - 1), ["first", "second"]],
    ["a length cut short", Uint8Array.of(0x80), []],
  ];
  for (const [name, bytes, kept] of cases) {
    let told = 0;
    assert.deepEqual([texts(unpackEvents(bytes, () => (told += 1))), told], [kept, 1], name);
  }
});
