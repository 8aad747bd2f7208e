import assert from "node:assert/strict";
import { test } from "node:test";
import { usd } from "./denial.ts";

test("dollars are exact", () => {
  const cases: [bigint, string][] = [
    [0n, "0"],
    [1n, "0.000000001"],
    [1_500_000_000n, "1.5"],
    [10_000_000_000n, "10"],
    [123_456_789_012_345_678n, "123456789.012345678"],
    [-250_000_000n, "-0.25"],
  ];
  for (const [nano, text] of cases) assert.equal(usd(nano), text);
});
