import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../../provider.ts";
import { PartialCall } from "./partial-call.ts";

function argsOf(...partialArgs: JsonObject[]): JsonObject {
  const call = new PartialCall();
  strictEqual(call.push({}, { name: "f", willContinue: true }), undefined);
  for (const own of partialArgs) call.push({}, { partialArgs: [own], willContinue: true });
  const whole = call.push({ thoughtSignature: "c2ln" }, {});
  strictEqual(whole?.thoughtSignature, "c2ln");
  return JSON.parse(JSON.stringify(whole?.functionCall));
}

test("arguments are put together by their paths", () => {
  deepStrictEqual(
    argsOf(
      { jsonPath: "$.city", stringValue: "Par", willContinue: true },
      { jsonPath: "$.city", stringValue: "is" },
      { jsonPath: "$.list[0].n", numberValue: 1 },
      { jsonPath: "$.list[1]['n']", boolValue: false },
      { jsonPath: "$.nothing", nullValue: "NULL_VALUE" },
    ),
    { name: "f", args: { city: "Paris", list: [{ n: 1 }, { n: false }], nothing: null } },
  );
});

test("a path that is none, or reaches for a prototype, changes nothing", () => {
  const paths = ["", "$", "city", "$.__proto__.polluted", "$['__proto__'].polluted", "$.a[999999999]"];
  for (const jsonPath of paths) deepStrictEqual(argsOf({ jsonPath, stringValue: "x" }), { name: "f", args: {} });
  strictEqual(Reflect.get({}, "polluted"), undefined);
});
