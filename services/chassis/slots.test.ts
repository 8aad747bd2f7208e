import assert from "node:assert/strict";
import { test } from "node:test";
import { Slots } from "./slots.ts";

test("what was added is there until it is deleted, whatever else comes and goes", () => {
  const slots = new Slots<{ slot: number; readonly name: number }>();
  const model = new Set<number>();
  const items = Array.from({ length: 50 }, (_, name) => ({ slot: -1, name }));
  let state = 7;
  for (let step = 0; step < 5000; step++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    const item = items[(state >> 8) % items.length];
    assert.ok(item);
    if (model.has(item.name)) {
      assert.equal(slots.delete(item), true);
      model.delete(item.name);
    } else {
      assert.equal(slots.delete(item), false);
      slots.add(item);
      model.add(item.name);
    }
    assert.equal(slots.size, model.size);
  }
  assert.deepEqual(new Set([...slots].map(({ name }) => name)), model);
});
