import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CostState, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import { scaledInteger } from "./decimal.ts";
import { ratePerToken, withOverrides } from "./overrides.ts";
import { costOf, dearestInput, freePrice } from "./price.ts";
import { loadPriceBook } from "./price-book.ts";

const today = Date.UTC(2026, 10, 1);

test("decimals become integers without drift", () => {
  const cases: readonly [value: number | string, scale: number, expected: bigint | undefined][] = [
    [0.1 + 0.2, 1, 3n],
    [2.5, 9, 2_500_000_000n],
    [1.5e-7, 15, 150_000_000n],
    ["0.00000015", 15, 150_000_000n],
    ["6e-7", 15, 600_000_000n],
    ["1E+3", 0, 1000n],
    [".5", 0, 1n],
    ["5.", 0, 5n],
    ["0.49", 0, 0n],
    [0, 15, 0n],
    [1e21, 0, 10n ** 21n],
    ["", 0, undefined],
    [".", 0, undefined],
    ["-1", 0, undefined],
    ["NaN", 0, undefined],
    [Number.POSITIVE_INFINITY, 0, undefined],
  ];
  for (const [value, scale, expected] of cases) assert.equal(scaledInteger(value, scale), expected, String(value));
  for (let n = 0; n < 2_000; n++) {
    assert.equal(scaledInteger(n / 1000, 9), BigInt(n) * 1_000_000n);
    assert.equal(ratePerToken(n / 1e9), BigInt(n) * 1_000_000n);
  }
});

test("known prices", async (t) => {
  const book = await loadPriceBook();
  const usage = { inputTokens: 1_000_000n, outputTokens: 1_000n };
  const cases: readonly [
    provider: string,
    model: string,
    usage: Parameters<typeof create<typeof UsageSchema>>[1],
    nano: bigint | undefined,
  ][] = [
    ["openai", "gpt-4o", usage, 2_510_000_000n],
    ["openai", "gpt-4o", { inputTokens: 10n, cacheReadTokens: 10n }, 25_000n + 12_500n],
    ["openai", "gpt-4o", { toolCalls: 2n }, 20_000_000n],
    ["openai", "text-embedding-3-small", { inputTokens: 3n }, 60n],
    ["openai", "gpt-5.4", { inputTokens: 271_999n, outputTokens: 1n }, 271_999n * 2_500n + 15_000n],
    ["openai", "gpt-5.4", { inputTokens: 272_000n, outputTokens: 1n }, 272_000n * 5_000n + 22_500n],
    ["openai", "gpt-5.4", { inputTokens: 1n, cacheReadTokens: 272_000n }, 5_000n + 272_000n * 500n],
    [
      "anthropic",
      "claude-sonnet-4-20250514",
      { cacheWriteTokens: 10n, cacheWrite1hTokens: 10n, reasoningTokens: 5n, outputTokens: 6n },
      37_500n + 60_000n + 90_000n,
    ],
    ["openrouter", "openai/gpt-3.5-turbo", usage, 501_500_000n],
    ["openrouter", "qwen/qwen3-coder:free", usage, 0n],
    ["azure_ai", "gpt-4o", usage, 2_510_000_000n],
    ["openai", "no-such-model", usage, undefined],
    ["no-such-provider", "gpt-4o", usage, undefined],
  ];
  for (const [provider, model, used, nano] of cases) {
    await t.test(`${provider}/${model}`, () => {
      const cost = costOf(create(UsageSchema, used), book.source(provider, model)(today));
      assert.equal(cost.state, nano === undefined ? CostState.UNPRICED : CostState.PRICED);
      assert.equal(cost.nanoUsd, nano ?? 0n);
    });
  }
  assert.ok(book.models("openai").includes("gpt-4o"));
  assert.deepEqual(book.models("no-such-provider"), []);
});

test("a price that changes by date is looked up again", async () => {
  const source = (await loadPriceBook()).source("openai", "o3");
  assert.notDeepEqual(source(Date.UTC(2025, 0, 1))?.base, source(today)?.base);
});

test("every price of the package converts", async () => {
  const book = await loadPriceBook();
  const listed = ["openai", "openrouter", "anthropic", "groq", "deepseek", "mistral"].flatMap((provider) =>
    book.models(provider).map((model) => book.source(provider, model)(today)),
  );
  assert.ok(listed.length > 500);
  assert.ok(listed.filter((price) => price === undefined).length < listed.length / 10);
});

test("overrides win, and what follows a rate follows its override", async () => {
  const known = (await loadPriceBook()).source("openai", "gpt-4o");
  const price = withOverrides(known, { output: 7n })(today);
  assert.equal(price?.base.output, 7n);
  assert.equal(price?.base.reasoning, 7n);
  assert.equal(price?.base.input, 2_500_000_000n);
  assert.equal(price?.base.cacheRead, 1_250_000_000n);
  const unknown = withOverrides(() => undefined, { input: 5n, cacheWrite: 6n })(today);
  assert.deepEqual(unknown?.base, {
    ...freePrice.base,
    input: 5n,
    cacheRead: 5n,
    cacheWrite: 6n,
    cacheWrite1h: 6n,
    inputAudio: 5n,
  });
  assert.equal(dearestInput(unknown?.base ?? freePrice.base), 6n);
  const searched = withOverrides(() => undefined, { toolCall: 2_000_000_000_000n })(today);
  assert.equal(costOf(create(UsageSchema, { toolCalls: 2n }), searched).nanoUsd, 4_000_000n);
});

test("a part larger than its whole never makes a cost negative", () => {
  const price = { base: { ...freePrice.base, output: 1_000_000n, reasoning: 1_000_000n }, tiers: [] };
  assert.equal(costOf(create(UsageSchema, { outputTokens: 1n, reasoningTokens: 5n }), price).nanoUsd, 5n);
});
