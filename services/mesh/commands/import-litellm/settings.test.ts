import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { readKeySettings } from "../../../auth/key-input.ts";
import { modelBudgets, readSettings } from "./settings.ts";

test("reads what the admin API would take, and names what it would refuse", () => {
  const cases: [input: JsonObject, left: string[]][] = [
    [{ key_alias: "a", max_budget: 1.5, models: ["m"], budget_duration: "30d" }, []],
    [{ key_alias: "a", max_budget: -1 }, ["max_budget"]],
    [{ key_alias: "a", budget_duration: "soon", tpm_limit: "many" }, ["budget_duration", "tpm_limit"]],
    [{ key_alias: "a", budget_limits: [{ budget_duration: "2mo", max_budget: 1 }] }, ["budget_limits"]],
    [{ key_alias: "a", auto_rotate: true }, ["auto_rotate"]],
    [{ key_alias: "a", temp_budget_increase: 3 }, ["temp_budget_increase"]],
    [{ key_alias: "a", rpm_limit_type: "dynamic", rpm_limit: 5 }, ["rpm_limit_type"]],
    [{ key_alias: "a", metadata: { deep: nested(200) } }, ["metadata"]],
    [{ key_alias: "a", models: [], aliases: {} }, []],
  ];
  for (const [input, expected] of cases) {
    const { settings, left } = readSettings(KeySettingsSchema, input, readKeySettings);
    assert.deepEqual(left.map(({ field }) => field).toSorted(), expected, JSON.stringify(input).slice(0, 200));
    assert.equal(settings.keyAlias, "a", "what is right is kept");
    for (const { reason } of left) assert.ok(reason.length > 5);
  }
});

test("money is exact to the billionth of a dollar", () => {
  const { settings } = readSettings(KeySettingsSchema, { max_budget: 0.052000000000000005 });
  assert.equal(settings.limits?.maxBudget, 52_000_000n);
});

test("a number for a model is its budget", () => {
  const both = { a: 1, b: { budget_limit: 2, time_period: "1d" } };
  assert.deepEqual(modelBudgets(both), { a: { budget_limit: 1 }, b: { budget_limit: 2, time_period: "1d" } });
});

function nested(depth: number): JsonObject {
  return depth === 0 ? {} : { down: nested(depth - 1) };
}
