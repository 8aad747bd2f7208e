import assert from "node:assert/strict";
import { test } from "node:test";
import { UUID } from "uuidv7";
import { createRecordIds } from "./record-ids.ts";

test("ids are UUIDv7 with the clock's time, each greater than the one before, none twice", () => {
  let now = 1_800_000_000_000;
  const next = createRecordIds();
  const ids = Array.from({ length: 20_000 }, (_, round) => {
    // Steps ahead, stays, and steps back a little.
    now += [0, 0, 0, 1, 0, 0, -3, 70_000][round % 8] ?? 0;
    const id = next(now);
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
  const now = 1_800_000_000_000;
  const [one, other] = [createRecordIds(), createRecordIds()];
  const ids = Array.from({ length: 5000 }, () => [one(now), other(now)]).flat();
  assert.equal(new Set(ids).size, ids.length);
});

test("a clock that was set back far is followed", () => {
  const now = 1_800_000_000_000;
  const next = createRecordIds();
  const before = next(now);
  const after = next(now - 3_600_000);
  assert.ok(after < before);
  assert.ok(next(now - 3_599_999) > after);
});
