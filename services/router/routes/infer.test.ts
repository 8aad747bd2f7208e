import assert from "node:assert/strict";
import { test } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, createRouterTransport } from "@connectrpc/connect";
import { UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";
import { call, createFakeAdmitter, errorName, outcome, startRouter } from "../testing/router-harness.ts";
import { answer, createScriptedAdapter, fail, type Step } from "../testing/scripted-adapter.ts";

const oneDeployment = `
model_list:
  - {model_name: m, litellm_params: {model: openai/one, api_key: sk-1, input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}}
`;
const twoDeployments = `
model_list:
  - {model_name: m, litellm_params: {model: openai/one, api_key: sk-1}}
  - {model_name: m, litellm_params: {model: openai/two, api_key: sk-2}}
`;

test("a call is answered in order, and its end is recorded before its last chunk goes out", async () => {
  const seen: string[] = [];
  const admitter = createFakeAdmitter((end) => seen.push(end === "void" ? "void" : "settled"));
  const harness = await startRouter({ yaml: oneDeployment, adapter: createScriptedAdapter({}), admitter });
  for await (const { event } of harness.inference.infer(call())) {
    if (event.case === "chunk") seen.push(`${event.value.payloads.map((p) => Buffer.from(p).toString())}`);
    else seen.push(String(event.case));
    if (event.case === "finished") assert.equal(event.value.cost?.nanoUsd, 100n * 1000n + 10n * 2000n);
  }
  assert.deepEqual(seen, ["started", "a", "b", "settled", "[DONE]", "finished"]);
  const [end] = admitter.ends;
  assert.ok(end !== undefined && end !== "void");
  assert.equal(end.status, UsageStatus.SUCCESS);
  assert.equal(end.cost.state, CostState.PRICED);
  assert.equal(end.upstreamModel, "one");
  assert.equal(end.finishReason, "stop");
  assert.ok((end.firstPayloadAt ?? 0) > 0);
});

test("the same over a serializing transport, both ways", async () => {
  const adapter = createScriptedAdapter({ one: [fail(500), answer(7)] });
  const harness = await startRouter({ yaml: oneDeployment, adapter });
  const [inference] = harness.service.implementations;
  const transport = createRouterTransport(({ service }) => {
    service(InferenceService, inference?.implementation ?? {});
  });
  const client: Client<typeof InferenceService> = createClient(InferenceService, transport);
  const cases: (string | undefined)[] = [];
  for await (const { event } of client.infer(call())) cases.push(event.case);
  assert.deepEqual(cases, ["started", "chunk", "chunk", "chunk", "finished"]);
  await assert.rejects(
    async () => {
      for await (const event of client.infer(call({ model: "nothing" }))) assert.fail(event.$typeName);
    },
    (error) => errorName(error) === "MODEL_NOT_FOUND",
  );
});

test("retries", async (t) => {
  const cases: readonly [
    name: string,
    script: Record<string, Step[]>,
    yaml: string,
    expected: string,
    sleeps: number[],
    retries?: number,
  ][] = [
    [
      "500 twice, then an answer",
      { one: [fail(500), fail(500), answer()] },
      oneDeployment,
      "m retries=2 fallbacks=0",
      [500, 1000],
    ],
    ["500 three times", { one: [fail(500)] }, oneDeployment, "upstream 500", [500, 1000]],
    ["Retry-After is kept", { one: [fail(429, 2_000), answer()] }, oneDeployment, "m retries=1 fallbacks=0", [2_000]],
    [
      "Retry-After beyond a minute is not",
      { one: [fail(429, 61_000), answer()] },
      oneDeployment,
      "m retries=1 fallbacks=0",
      [500],
    ],
    ["a bad request is final", { one: [fail(400)] }, oneDeployment, "upstream 400", []],
    ["a refused key is final at one deployment", { one: [fail(401)] }, oneDeployment, "upstream 401", []],
    [
      "a refused key goes to the other",
      { one: [fail(401)], two: [answer()] },
      twoDeployments,
      "m retries=1 fallbacks=0",
      [],
    ],
    ["404 is final", { one: [fail(404)] }, twoDeployments, "upstream 404", []],
    [
      "another deployment is tried at once",
      { one: [fail(500)], two: [answer()] },
      twoDeployments,
      "m retries=1 fallbacks=0",
      [],
    ],
    ["both limited: both cool down", { one: [fail(429)], two: [fail(429)] }, twoDeployments, "upstream 429", []],
    ["the client wants none", { one: [fail(500), answer()] }, oneDeployment, "upstream 500", [], 0],
    [
      "the client wants four",
      { one: [fail(500), fail(500), fail(500), fail(500), answer()] },
      oneDeployment,
      "m retries=4 fallbacks=0",
      [500, 1000, 2000, 4000],
      4,
    ],
    [
      "an answer cut short before its end",
      { one: [{ kind: "cut" }] },
      oneDeployment,
      "m retries=0 fallbacks=0 upstream 502",
      [],
    ],
  ];
  for (const [name, script, yaml, expected, sleeps, numRetries] of cases) {
    await t.test(name, async () => {
      const harness = await startRouter({ yaml, adapter: createScriptedAdapter(script) });
      assert.equal(await outcome(harness, { options: { numRetries } }), expected);
      assert.deepEqual(harness.sleeps, sleeps);
      assert.equal(harness.admitter.requests.length, 1, "admitted once for all attempts");
      assert.equal(harness.admitter.ends.length, 1, "ended once");
    });
  }
});

test("fallbacks", async (t) => {
  const yaml = `
model_list:
  - {model_name: a, litellm_params: {model: openai/a, api_key: sk-1}}
  - {model_name: b, litellm_params: {model: openai/b, api_key: sk-1}}
  - {model_name: c, litellm_params: {model: openai/c, api_key: sk-1}}
  - {model_name: long, litellm_params: {model: openai/long, api_key: sk-1}}
  - {model_name: mild, litellm_params: {model: openai/mild, api_key: sk-1}}
router_settings:
  num_retries: 0
  fallbacks: [{a: [b]}, {b: [{model: c}]}]
  default_fallbacks: [c]
  context_window_fallbacks: [{a: [long]}]
  content_policy_fallbacks: [{a: [mild]}]
`;
  const broken = { a: [fail(500)], b: [fail(500)] };
  const cases: readonly [
    name: string,
    script: Record<string, Step[]>,
    request: Parameters<typeof outcome>[1],
    expected: string,
  ][] = [
    ["configured", { a: [fail(500)] }, { model: "a" }, "b retries=0 fallbacks=1"],
    ["of the fallback itself", broken, { model: "a" }, "c retries=0 fallbacks=2"],
    ["the default list", { mild: [fail(500)] }, { model: "mild" }, "c retries=0 fallbacks=1"],
    ["by context window", { a: [fail(413)] }, { model: "a" }, "long retries=0 fallbacks=1"],
    ["by content policy", { a: [fail(422)] }, { model: "a" }, "mild retries=0 fallbacks=1"],
    [
      "the client's first",
      { a: [fail(500)] },
      { model: "a", options: { fallbacks: ["long"] } },
      "long retries=0 fallbacks=1",
    ],
    [
      "the client's fails, then the configured",
      { a: [fail(500)], long: [fail(500)] },
      { model: "a", options: { fallbacks: ["long"] } },
      "c retries=0 fallbacks=2",
    ],
    ["switched off", broken, { model: "a", options: { disableFallbacks: true } }, "upstream 500"],
    ["also on a bad request", { a: [fail(400)] }, { model: "a" }, "b retries=0 fallbacks=1"],
    ["all fail: the last error", { ...broken, c: [fail(503)] }, { model: "a" }, "upstream 503"],
    [
      "without the right to the fallback",
      { a: [fail(500)] },
      { model: "a", caller: { kind: CallerKind.VIRTUAL_KEY, models: ["a"] } },
      "upstream 500",
    ],
    [
      "with the right to the second",
      { a: [fail(500)] },
      {
        model: "a",
        caller: { kind: CallerKind.VIRTUAL_KEY, models: ["a", "l*"] },
        options: { fallbacks: ["b", "long"] },
      },
      "long retries=0 fallbacks=1",
    ],
  ];
  for (const [name, script, request, expected] of cases) {
    await t.test(name, async () => {
      const harness = await startRouter({ yaml, adapter: createScriptedAdapter(script) });
      assert.equal(await outcome(harness, request), expected);
      assert.equal(harness.admitter.ends.length, 1);
    });
  }
});

test("a group that cools down is refused at once, and answers again afterwards", async () => {
  const adapter = createScriptedAdapter({ one: [fail(429), fail(429), answer()], two: [fail(429), answer()] });
  const harness = await startRouter({ yaml: twoDeployments, adapter });
  await outcome(harness, { options: { numRetries: 1 } });
  assert.equal(await outcome(harness), "NO_DEPLOYMENT_AVAILABLE");
  assert.equal(adapter.requests.length, 2);
  harness.advance(5_001);
  assert.equal(await outcome(harness), "m retries=1 fallbacks=0");
});

test("a client that hangs up aborts the upstream call at once and pays for what it used", async (t) => {
  const cases: readonly [name: string, step: Step, events: number, silentMs: number, expected: string][] = [
    ["while waiting for the first payload", { kind: "hang" }, 0, 0, "ABORTED 100+0"],
    ["after a long silence, in which the model may have reasoned", { kind: "hang" }, 0, 11_000, "ABORTED 100+500"],
    ["in mid-stream", { kind: "hang", afterPayloads: 3 }, 4, 0, "ABORTED 100+3"],
  ];
  for (const [name, step, events, silentMs, expected] of cases) {
    await t.test(name, async () => {
      const adapter = createScriptedAdapter({ one: [step] });
      const harness = await startRouter({ yaml: oneDeployment, adapter });
      const controller = new AbortController();
      let seen = 0;
      const hangUp = () => {
        if (adapter.requests.length === 0 || seen !== events) return void setImmediate(hangUp);
        harness.advance(silentMs);
        controller.abort();
      };
      setImmediate(hangUp);
      await assert.rejects(async () => {
        for await (const _ of harness.inference.infer(call(), { signal: controller.signal })) seen++;
      });
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(seen, events);
      assert.equal(adapter.aborted.length, 1);
      assert.deepEqual(harness.admitter.ends.map(endName), [expected]);
    });
  }
  await t.test("for the input that the provider told at the beginning, where it did", async () => {
    const told = { inputTokens: 7n, cacheReadTokens: 90n, outputTokens: 1n, estimated: true };
    for (const [afterPayloads, output] of [
      [1, 1n],
      [3, 3n],
    ] as const) {
      const adapter = createScriptedAdapter({ one: [{ kind: "hang", afterPayloads, told }] });
      const harness = await startRouter({ yaml: oneDeployment, adapter });
      let seen = 0;
      for await (const { event } of harness.inference.infer(call())) {
        if (event.case === "chunk" && ++seen === afterPayloads) break;
      }
      await new Promise((resolve) => setImmediate(resolve));
      const [end] = harness.admitter.ends;
      assert.ok(end !== undefined && end !== "void");
      const { inputTokens, cacheReadTokens, outputTokens, estimated } = end.usage;
      assert.deepEqual([inputTokens, cacheReadTokens, outputTokens, estimated], [7n, 90n, output, true]);
    }
  });
  await t.test("by no longer reading", async () => {
    const adapter = createScriptedAdapter({ one: [{ kind: "hang", afterPayloads: 2 }] });
    const harness = await startRouter({ yaml: oneDeployment, adapter });
    for await (const { event } of harness.inference.infer(call())) if (event.case === "chunk") break;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(harness.admitter.ends.map(endName), ["ABORTED 100+1"]);
  });
});

function endName(end: ReturnType<typeof createFakeAdmitter>["ends"][number]): string {
  if (end === "void") return "void";
  const name = Object.entries(UsageStatus).find(([, value]) => value === end.status)?.[0];
  return `${name} ${end.usage.inputTokens}+${end.usage.outputTokens}`;
}

test("a failure in mid-stream is passed on, never retried, and recorded", async () => {
  const adapter = createScriptedAdapter({ one: [fail(500, undefined, 2)] });
  const harness = await startRouter({ yaml: oneDeployment, adapter });
  assert.equal(await outcome(harness), "m retries=0 fallbacks=0 upstream 500");
  assert.equal(adapter.requests.length, 1);
  assert.deepEqual(harness.admitter.ends.map(endName), ["FAILED 100+2"]);
});

test("timeouts", async (t) => {
  const yaml = (params: string) => `
model_list:
  - {model_name: m, litellm_params: {model: openai/one, api_key: sk-1, num_retries: 0, ${params}}}
router_settings: {timeout: 9}
`;
  const hang: Step = { kind: "hang" };
  const mid: Step = { kind: "hang", afterPayloads: 1 };
  const slow: Step = { ...answer(), kind: "answer", payloads: ["x"], output: 1, pauseMs: 40 };
  const soon = durationFromMs(15);
  const cases: readonly [
    name: string,
    params: string,
    step: Step,
    request: Parameters<typeof outcome>[1],
    expected: string,
  ][] = [
    ["of the deployment", "timeout: 0.015", hang, {}, "upstream 408"],
    ["of the deployment, in mid-stream", "timeout: 0.015", mid, {}, "m retries=0 fallbacks=0 upstream 408"],
    ["to the first payload", "stream_timeout: 0.015", hang, {}, "upstream 408"],
    [
      "to the first payload, of streams only",
      "stream_timeout: 0.015",
      slow,
      { stream: false },
      "m retries=0 fallbacks=0",
    ],
    ["the client's", "timeout: 5", hang, { options: { timeout: soon } }, "upstream 408"],
    ["the client's, to the first payload", "timeout: 5", hang, { options: { streamTimeout: soon } }, "upstream 408"],
    [
      "the client's is longer",
      "timeout: 0.015",
      slow,
      { options: { timeout: durationFromMs(2_000) } },
      "m retries=0 fallbacks=0",
    ],
  ];
  for (const [name, params, step, request, expected] of cases) {
    await t.test(name, async () => {
      const adapter = createScriptedAdapter({ one: [step] });
      const harness = await startRouter({ yaml: yaml(params), adapter });
      assert.equal(await outcome(harness, request), expected);
      assert.equal(harness.admitter.ends.length, 1);
    });
  }
});

test("a client's own time limit is charged like a hang-up, and is no fault of the deployment", async (t) => {
  const yaml = `
model_list:
  - {model_name: m, litellm_params: {model: openai/one, api_key: sk-1, num_retries: 0}}
  - {model_name: m, litellm_params: {model: openai/two, api_key: sk-1, num_retries: 0}}
`;
  const soon = durationFromMs(5);
  const limits: [string, Parameters<typeof outcome>[1]][] = [
    ["timeout", { options: { timeout: soon } }],
    ["stream_timeout", { options: { streamTimeout: soon } }],
  ];
  for (const [name, request] of limits) {
    await t.test(name, async () => {
      const hang: Step = { kind: "hang" };
      const script = { one: [...Array<Step>(8).fill(hang), answer()] };
      const harness = await startRouter({ yaml, adapter: createScriptedAdapter(script) });
      for (let n = 0; n < 8; n++) assert.equal(await outcome(harness, request), "upstream 408");
      assert.deepEqual(harness.admitter.ends.map(endName), Array(8).fill("ABORTED 100+0"));
      assert.equal(await outcome(harness), "m retries=0 fallbacks=0");
      assert.equal(harness.admitter.ends.length, 9);
      assert.ok(harness.admitter.ends.every((end) => end !== "void"));
    });
  }
});

test("no retry that would outlast the client's time", async () => {
  const harness = await startRouter({ yaml: oneDeployment, adapter: createScriptedAdapter({ one: [fail(500)] }) });
  assert.equal(await outcome(harness, { options: { timeout: durationFromMs(800) } }), "upstream 500");
  assert.deepEqual(harness.sleeps, [500]);
});

test("model rights and unknown models", async (t) => {
  const virtual = (...models: string[]) => ({ kind: CallerKind.VIRTUAL_KEY, models });
  const cases: readonly [
    model: string,
    caller: { kind: CallerKind; models?: string[] } | undefined,
    expected: string,
  ][] = [
    ["m", virtual(), "m retries=0 fallbacks=0"],
    ["m", virtual("m"), "m retries=0 fallbacks=0"],
    ["m", virtual("n", "x*"), "MODEL_ACCESS_DENIED"],
    ["mock/echo", virtual("mock/*"), "mock/echo retries=0 fallbacks=0"],
    ["mock/echo", virtual("all-proxy-models"), "mock/echo retries=0 fallbacks=0"],
    ["nothing", virtual("m"), "MODEL_ACCESS_DENIED"],
    ["nothing", virtual(), "MODEL_NOT_FOUND"],
    ["openai/gpt-4o", virtual(), "MODEL_NOT_FOUND"],
    ["m", undefined, "MODEL_ACCESS_DENIED"],
    ["m", { kind: CallerKind.UNSPECIFIED }, "MODEL_ACCESS_DENIED"],
    ["", virtual(), "MODEL_NOT_FOUND"],
  ];
  const harness = await startRouter({ yaml: oneDeployment, adapter: createScriptedAdapter({}) });
  for (const [model, caller, expected] of cases) {
    await t.test(`${model} for ${caller?.models ?? "nobody"}`, async () => {
      assert.equal(await outcome(harness, { model, caller }), expected);
    });
  }
});

test("a deployment without its key answers 401 and names the variable", async () => {
  const yaml = "model_list: [{model_name: m, litellm_params: {model: openai/one, api_key: os.environ/MY_KEY}}]";
  const harness = await startRouter({ yaml, adapter: createScriptedAdapter({}) });
  await assert.rejects(async () => {
    for await (const _ of harness.inference.infer(call())) assert.fail();
  }, /set MY_KEY/);
  assert.deepEqual(harness.admitter.ends, ["void"]);
  assert.equal(await outcome(harness, { options: { mockResponse: "hi" } }), "m retries=0 fallbacks=0");
});

test("what the adapter is given", async () => {
  const yaml = `
model_list:
  - model_name: m
    litellm_params: {model: openai/one, api_key: sk-1, api_base: "http://host/v1/", temperature: 0.5, extra_headers: {X-A: b}, drop_params: true, output_cost_per_token: 0.001}
    model_info: {id: first, max_output_tokens: 50}
`;
  const adapter = createScriptedAdapter({});
  const harness = await startRouter({ yaml, adapter });
  const scopes = [{ scope: "key:1", maxBudgetNanoUsd: 1_000_000n }];
  await outcome(harness, { options: { allowedOpenaiParams: ["p"], dropParams: false, mockResponse: "hi" } });
  await outcome(harness, { caller: { kind: CallerKind.VIRTUAL_KEY, scopes } });
  harness.admitter.outputTokenCap = 9;
  await outcome(harness, {
    caller: { kind: CallerKind.VIRTUAL_KEY, scopes },
    shape: { inputTokens: 1, maxOutputTokens: 20 },
  });
  const [first, second, third] = adapter.requests.map(({ target }) => target);
  assert.equal(first?.provider, "openai");
  assert.equal(first?.model, "one");
  assert.equal(first?.baseUrl, "http://host/v1");
  assert.equal(first?.deployment, "first");
  assert.equal(harness.sealer.open(first?.sealedCredential ?? new Uint8Array()).reveal(), "sk-1");
  assert.equal(Buffer.from(first?.defaultParams ?? []).toString(), '{"temperature":0.5}');
  assert.deepEqual(first?.headers, { "x-a": "b" });
  assert.deepEqual([first?.dropParams, first?.allowedOpenaiParams, first?.mockResponse], [false, ["p"], "hi"]);
  assert.deepEqual([first?.outputTokenCap, second?.outputTokenCap, third?.outputTokenCap], [undefined, 50, 9]);
  assert.equal(second?.dropParams, true);
});
