import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonValue } from "../../provider.ts";
import { readUsage } from "./usage.ts";

test("counts that no call can have are no usage", () => {
  const cases: [usage: JsonValue, input: bigint | undefined, output: bigint | undefined][] = [
    [{ prompt_tokens: 3, completion_tokens: 4 }, 3n, 4n],
    [{ prompt_tokens: 3.9, completion_tokens: 0.2 }, 3n, 0n],
    [{ prompt_tokens: 1e15, completion_tokens: 4 }, 0n, 4n],
    [{ prompt_tokens: -1, completion_tokens: "4", input_tokens: 7 }, 7n, 0n],
    [{ prompt_tokens: 1e300, completion_tokens: -1 }, undefined, undefined],
    [{ prompt_tokens: null, completion_tokens: {} }, undefined, undefined],
    [[1], undefined, undefined],
    [null, undefined, undefined],
  ];
  for (const [value, input, output] of cases) {
    const usage = readUsage(value);
    assert.deepEqual([usage?.inputTokens, usage?.outputTokens], [input, output], JSON.stringify(value));
  }
});
