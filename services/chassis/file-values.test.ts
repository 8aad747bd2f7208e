import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { flag, numberIn } from "./file-values.ts";

const schema = z.looseObject({ whole: numberIn(z.int()), rate: numberIn(z.number().positive()), flag });

test("numbers and flags may be texts", () => {
  const cases: [given: unknown, read: unknown][] = [
    [{}, {}],
    [{ whole: null }, { whole: null }],
    [
      { whole: 3, rate: 0.5, flag: true },
      { whole: 3, rate: 0.5, flag: true },
    ],
    [
      { whole: "3", rate: " .5\n", flag: "True" },
      { whole: 3, rate: 0.5, flag: true },
    ],
    [
      { whole: "-3", rate: "1e-6", flag: "FALSE" },
      { whole: -3, rate: 0.000001, flag: false },
    ],
    [
      { whole: "100_000", flag: "off" },
      { whole: 100_000, flag: false },
    ],
    [{ flag: "Yes" }, { flag: true }],
  ];
  for (const [given, read] of cases) assert.deepEqual(schema.parse(given), read);
});

test("other texts, and numbers that do not fit, are refused", () => {
  const wrong = [{ whole: "1.5" }, { whole: "_1" }, { whole: "0x10" }, { whole: "" }, { whole: " " }];
  const others = [{ rate: "-1" }, { rate: "ten" }, { rate: "1e999" }, { flag: "y" }, { flag: 1 }, { flag: "" }];
  for (const given of [...wrong, ...others])
    assert.equal(schema.safeParse(given).success, false, JSON.stringify(given));
});
