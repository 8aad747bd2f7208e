import assert from "node:assert/strict";
import { test } from "node:test";
import { type ImportFate, importFate } from "./imported-rows.ts";

test("a row is taken, left or updated by what is here and what was taken before", () => {
  const here = (version: number, same: boolean) => ({ version, same });
  const cases: [current: Parameters<typeof importFate>[0], taken: number | undefined, fate: ImportFate][] = [
    [undefined, undefined, "created"],
    [undefined, 1, "deleted"],
    [here(1, true), undefined, "unchanged"],
    [here(1, false), undefined, "occupied"],
    [here(1, true), 1, "unchanged"],
    [here(2, true), 1, "unchanged"],
    [here(2, false), 2, "updated"],
    [here(3, false), 2, "changed"],
  ];
  for (const [current, taken, fate] of cases) assert.equal(importFate(current, taken), fate);
});
