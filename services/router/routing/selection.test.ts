import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYaml } from "#chassis/yaml-file.ts";
import { CallerKind, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { parseRouterConfig } from "../config-file.ts";
import { freePrice } from "../prices/price.ts";
import type { Deployment } from "../registry/deployment.ts";
import type { RouterSettings } from "../router-config.ts";
import { deployment } from "../testing/deployment.ts";
import { call } from "../testing/router-harness.ts";
import { chooseDeployment } from "./choose-deployment.ts";
import { createHealth, type DeploymentFailure, isCooling, recordFailure, recordSuccess } from "./cooldowns.ts";
import { estimateCall, outputCap } from "./estimate.ts";
import { createFallbackLookup, createFallbackQueue } from "./fallback-plan.ts";

function settings(yaml = "{}"): RouterSettings {
  return parseRouterConfig(parseYaml(`router_settings: ${yaml}`, "config.yaml", {})).config.settings;
}

test("shares of the choice", async (t) => {
  const cooling = { health: { ...createHealth(), cooldownUntil: 1_000 } };
  const cases: readonly [name: string, of: readonly Deployment[], shares: Readonly<Record<string, number>>][] = [
    ["even", [deployment("a"), deployment("b")], { a: 50, b: 50 }],
    ["by weight, 1 where it is missing", [deployment("a"), deployment("b", { weight: 3 })], { a: 25, b: 75 }],
    ["weight 0 gets nothing", [deployment("a", { weight: 0 }), deployment("b", { weight: 1 })], { b: 100 }],
    ["all weights 0: even", [deployment("a", { weight: 0 }), deployment("b", { weight: 0 })], { a: 50, b: 50 }],
    ["by rpm", [deployment("a", { rpm: 10 }), deployment("b", { rpm: 30 })], { a: 25, b: 75 }],
    ["rpm of some only", [deployment("a", { rpm: 10 }), deployment("b")], { a: 50, b: 50 }],
    ["by tpm", [deployment("a", { tpm: 1 }), deployment("b", { tpm: 4 })], { a: 20, b: 80 }],
    [
      "weight before rpm",
      [deployment("a", { rpm: 99, weight: 1 }), deployment("b", { rpm: 1, weight: 1 })],
      { a: 50, b: 50 },
    ],
    ["the lowest order", [deployment("a", { order: 2 }), deployment("b", { order: 1 })], { b: 100 }],
    ["not one that cools down", [deployment("a", { order: 2 }), deployment("b", { order: 1, ...cooling })], { a: 100 }],
    ["not one without its key", [deployment("a"), deployment("b", { missingVariable: "X" })], { a: 100 }],
    ["nothing left", [deployment("a", cooling), deployment("b", cooling)], { none: 100 }],
    ["a single one that cools down", [deployment("a", cooling)], { none: 100 }],
    ["none", [], { none: 100 }],
  ];
  for (const [name, of, shares] of cases) {
    await t.test(name, () => {
      const counts: Record<string, number> = {};
      for (let n = 0; n < 100; n++) {
        const id = chooseDeployment(of, [], 500, () => n / 100)?.id ?? "none";
        counts[id] = (counts[id] ?? 0) + 1;
      }
      assert.deepEqual(counts, shares);
    });
  }
});

test("what was tried comes last, whatever its order", () => {
  const [a, b] = [deployment("a", { order: 1 }), deployment("b", { order: 2 })];
  assert.equal(
    chooseDeployment([a, b], [a], 0, () => 0),
    b,
  );
  assert.equal(
    chooseDeployment([a, b], [a, b], 0, () => 0),
    a,
  );
});

const failure = (httpStatus: number, retryable = httpStatus >= 429 || httpStatus === 408, retryAfterMs?: number) => ({
  httpStatus,
  retryable,
  retryAfterMs,
  permanent: httpStatus === 401,
});
const unknownModel = { ...failure(404), permanent: true };

test("cooldowns", async (t) => {
  const many = (count: number, one: DeploymentFailure) => new Array<DeploymentFailure>(count).fill(one);
  const cases: readonly [
    name: string,
    yaml: string,
    own: Partial<Deployment>,
    others: boolean,
    failures: DeploymentFailure[],
    cooledMs: number,
  ][] = [
    ["429 with others", "{}", {}, true, [failure(429)], 5_000],
    ["429 alone", "{}", {}, false, many(900, failure(429)), 0],
    ["1000 of 1000 alone", "{}", {}, false, many(1000, failure(500)), 5_000],
    ["401", "{}", {}, false, [failure(401)], 5_000],
    ["404 of the model", "{}", {}, false, [unknownModel], 5_000],
    ["404 of what a client named", "{}", {}, true, [failure(404)], 0],
    ["400 never", "{}", {}, true, many(50, failure(400)), 0],
    ["4 failures with others", "{}", {}, true, many(4, failure(500)), 0],
    ["5 failures with others", "{}", {}, true, many(5, failure(500)), 5_000],
    ["Retry-After", "{}", {}, true, [failure(429, true, 30_000)], 30_000],
    ["Retry-After too long", "{}", {}, true, [failure(429, true, 90_000)], 5_000],
    ["the router's time", "{cooldown_time: 7}", {}, true, [failure(429)], 7_000],
    ["the deployment's time", "{cooldown_time: 7}", { cooldownMs: 9_000 }, true, [failure(429, true, 30_000)], 9_000],
    ["never, by the deployment", "{}", { cooldownMs: 0 }, true, [failure(401)], 0],
    ["never, by the router", "{disable_cooldowns: true}", {}, true, [failure(401)], 0],
    ["allowed_fails not exceeded", "{allowed_fails: 2}", {}, true, many(2, failure(429)), 0],
    ["allowed_fails exceeded", "{allowed_fails: 2}", {}, false, many(3, failure(500)), 5_000],
  ];
  for (const [name, yaml, own, others, failures, cooledMs] of cases) {
    await t.test(name, () => {
      const one = deployment("a", own);
      const cooled = failures.map((each) => recordFailure(one, each, others, settings(yaml), 60_000));
      assert.equal(cooled.at(-1), cooledMs);
      assert.equal(isCooling(one, 60_000 + cooledMs - 1), cooledMs > 0);
      assert.equal(isCooling(one, 60_000 + cooledMs), false);
    });
  }
  await t.test("successes count, and a new minute begins anew", () => {
    const one = deployment("a");
    for (let n = 0; n < 5; n++) recordSuccess(one, 0);
    for (let n = 0; n < 5; n++) assert.equal(recordFailure(one, failure(500), true, settings(), 0), 0);
    assert.equal(recordFailure(one, failure(500), true, settings(), 59_999), 5_000);
    assert.equal(recordFailure(one, failure(500), true, settings(), 60_000), 0);
  });
});

test("fallback lists: by kind, by group, without prefix, by pattern, for all", () => {
  const lookup = createFallbackLookup(
    settings(`{fallbacks: [{a: [b]}, {gpt-4: [c]}, {"claude-*": [d]}, {"*": [e]}], default_fallbacks: [f]}`),
  );
  const cases: readonly [group: string, expected: string[]][] = [
    ["a", ["b"]],
    ["openai/gpt-4", ["c"]],
    ["claude-3", ["d"]],
    ["other", ["e"]],
  ];
  for (const [group, expected] of cases) assert.deepEqual(lookup(group, undefined), expected);
  assert.deepEqual(createFallbackLookup(settings("{default_fallbacks: [f]}"))("x", undefined), ["f"]);
});

test("no group comes twice, and no more than the maximum", () => {
  const endless = (group: string) => [group, `${group}x`, "a"];
  const queue = createFallbackQueue("a", ["a", "b"], endless, 3);
  const given: (string | undefined)[] = [];
  for (let failed: string | undefined = "a"; failed !== undefined; given.push(failed))
    failed = queue.next(failed, undefined);
  assert.deepEqual(given, ["b", "bx", "bxx", undefined]);
});

test("estimates cover the dearest deployment and every choice", () => {
  const priced = (input: bigint, output: bigint) => () => ({ base: { ...freePrice.base, input, output }, tiers: [] });
  const group = (...deployments: Deployment[]) => ({ name: "g", deployments, cools: true });
  const cheap = deployment("a", { price: priced(1_000_000n, 9_000_000n) });
  const dear = deployment("b", { price: priced(2_000_000n, 3_000_000n), assumedOutputTokens: 200 });
  const request = call({ shape: { inputTokens: 10, choices: 3 } });
  assert.deepEqual(estimateCall(request, [group(cheap), group(dear)], 0), {
    tokens: 610,
    price: { inputNanoUsd: 20n, outputNanoUsdPerMillion: 9_000_000n, outputTokens: 600, choices: 3 },
  });
  const limited = call({ shape: { inputTokens: 10, choices: 1, maxOutputTokens: 5 } });
  assert.equal(estimateCall(limited, [group(cheap, dear)], 0).tokens, 15);
  assert.equal(estimateCall(limited, [group(deployment("c"))], 0).price, undefined);
  const embedding = call({ operation: Operation.EMBEDDINGS });
  assert.equal(estimateCall(embedding, [group(cheap)], 0).price?.outputTokens, 0);
  const searched = deployment("d", {
    price: () => ({ base: { ...freePrice.base, input: 1_000_000n, toolCall: 7_000_000n }, tiers: [] }),
  });
  const rerank = call({ operation: Operation.RERANK, shape: { inputTokens: 10, choices: 1, searchUnits: 2 } });
  const ranked = estimateCall(rerank, [group(searched)], 0);
  assert.deepEqual([ranked.tokens, ranked.price?.inputNanoUsd, ranked.price?.outputTokens], [10, 24n, 0]);
});

test("what is assumed of a call is a part of the tokens a minute at most", () => {
  const group = { name: "g", deployments: [deployment("a", { assumedOutputTokens: 4096 })], cools: true };
  const tokens = (tpmLimits: readonly bigint[], maxOutputTokens?: number) => {
    const scopes = tpmLimits.map((tpmLimit, at) => ({ scope: `key:${at}`, tpmLimit }));
    const shape = { inputTokens: 10, choices: 1, ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }) };
    const caller = { kind: CallerKind.VIRTUAL_KEY, scopes: [{ scope: "team:1" }, ...scopes] };
    return estimateCall(call({ caller, shape }), [group], 0).tokens;
  };
  assert.equal(tokens([]), 4106);
  assert.equal(tokens([1_000_000n]), 4106);
  assert.equal(tokens([1_000_000n, 800n]), 110);
  assert.equal(tokens([1n]), 11);
  assert.equal(tokens([0n]), 10);
  assert.equal(tokens([800n], 500), 510);
});

test("a budget sends what was assumed upstream as the limit", () => {
  const budget = { kind: CallerKind.VIRTUAL_KEY, scopes: [{ scope: "key:1", maxBudgetNanoUsd: 1n }] };
  const limit = { inputTokens: 1, maxOutputTokens: 7 };
  const cases: readonly [
    request: Parameters<typeof call>[0],
    admitted: number | undefined,
    expected: number | undefined,
  ][] = [
    [{}, undefined, undefined],
    [{ caller: budget }, undefined, 100],
    [{ caller: budget }, 30, 30],
    [{ caller: budget }, 300, 100],
    [{ caller: budget, shape: limit }, undefined, undefined],
    [{ caller: budget, shape: limit }, 3, 3],
    [{ caller: budget, operation: Operation.EMBEDDINGS }, undefined, undefined],
    [{ caller: budget, operation: Operation.RERANK }, undefined, undefined],
  ];
  const dear = deployment("a", { price: () => ({ base: { ...freePrice.base, output: 1n }, tiers: [] }) });
  for (const [request, admitted, expected] of cases)
    assert.equal(outputCap(call(request), dear, admitted, 0), expected);
  const free = deployment("a", { price: () => freePrice });
  assert.equal(outputCap(call({ caller: budget }), free, undefined, 0), undefined);
});
