import assert from "node:assert/strict";
import { test } from "node:test";
import { UUID } from "uuidv7";
import { createRecordIds } from "./record-ids.ts";

test("ids are UUIDv7 with the clock's time, each greater than the one before, none twice", () => {
  let now = 1_800_000_000_000;
  const next = createRecordIds(() => now);
  const ids = Array.from({ length: 20_000 }, (_, round) => {
    // Steps ahead, stays, and steps back a little.
    now += [0, 0, 0, 1, 0, 0, -3, 70_000][round % 8] ?? 0;
    const id = next();
    const parsed = UUID.parse(id);
    assert.equal(parsed.toString(), id);
    assert.equal(parsed.getVariant(), "VAR_10");
    assert.equal(parsed.getVersion(), 7);
    const ms = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
    assert.ok(ms >= now && ms <= now + 3, id);
    return id;
  });
  assert.deepEqual(ids, [...ids].sort());
  assert.equal(new Set(ids).size, ids.length);
});

test("two makers at the same moment make different ids", () => {
  const clock = () => 1_800_000_000_000;
  const [one, other] = [createRecordIds(clock), createRecordIds(clock)];
  const ids = Array.from({ length: 5000 }, () => [one(), other()]).flat();
  assert.equal(new Set(ids).size, ids.length);
});

test("a clock that was set back far is followed", () => {
  let now = 1_800_000_000_000;
  const next = createRecordIds(() => now);
  const before = next();
  now -= 3_600_000;
  const after = next();
  assert.ok(after < before);
  now += 1;
  assert.ok(next() > after);
});
