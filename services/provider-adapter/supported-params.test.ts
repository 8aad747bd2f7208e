import assert from "node:assert/strict";
import { test } from "node:test";
import type { Provider, ProviderCall } from "./provider.ts";
import { chatSamples, probe, supportedParams } from "./supported-params.ts";
import { everyProvider } from "./testing/every-provider.ts";
import { providerCall } from "./translate/testing/provider-call.ts";

const providers = await everyProvider();
const models: Readonly<Record<string, string>> = {
  anthropic: "claude-sonnet-4-5",
  bedrock: "anthropic.claude-3-7-sonnet-20250219-v1:0",
  gemini: "gemini-2.5-flash",
  vertex_ai: "gemini-2.5-flash",
};
const settings = {
  account_id: "a",
  api_version: "2024-10-21",
  aws_region_name: "us-east-1",
  vertex_location: "us-central1",
  vertex_project: "p",
};

function callOf(provider: Provider, changes: Partial<ProviderCall> = {}): ProviderCall {
  return providerCall({}, { model: models[provider.id] ?? "m", baseUrl: "https://x.test", settings, ...changes });
}

test("what a provider has no word for is not listed", () => {
  const cases: readonly [provider: string, missing: readonly string[]][] = [
    ["openai", []],
    ["mock", []],
    ["groq", ["function_call", "functions", "logit_bias", "logprobs", "top_logprobs"]],
    ["perplexity", ["function_call", "functions", "parallel_tool_calls", "tool_choice", "tools"]],
    [
      "anthropic",
      [
        ...["audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "modalities", "n", "prediction"],
        ...["presence_penalty", "prompt_cache_key", "seed", "store", "top_logprobs", "verbosity"],
      ],
    ],
  ];
  for (const [id, missing] of cases) {
    const provider = providers.get(id);
    assert.ok(provider !== undefined);
    const listed = supportedParams(provider, callOf(provider, { defaultParams: { n: 2 }, dropParams: true }));
    const expected = [...Object.keys(chatSamples), "stream", "stream_options"].filter(
      (name) => !missing.includes(name),
    );
    assert.deepEqual(listed, expected.sort(), id);
  }
});

test("a parameter that is refused as unknown passes on where it is allowed, at every provider", () => {
  /** Here it is the value or the model that is refused: there is no parameter that could be passed on. */
  const ofValue = new Set(["bedrock web_search_options"]);
  let passed = 0;
  for (const provider of providers.values()) {
    if (provider.respondLocally !== undefined || !begins(provider, callOf(provider))) continue;
    for (const [name, { value, beside = {} }] of Object.entries(chatSamples)) {
      const members = { ...beside, [name]: value };
      if (begins(provider, callOf(provider), members) || ofValue.has(`${provider.id} ${name}`)) continue;
      const allowedParams = [name, ...Object.keys(beside)];
      const { body } = provider.begin(probe(callOf(provider, { allowedParams }), members)).request;
      assert.ok(Buffer.from(body).includes(JSON.stringify(name)), `${provider.id} ${name}`);
      passed += 1;
    }
  }
  assert.ok(passed > 20);
});

test("reasoning that a model is not known to have is asked for where it is allowed", () => {
  const cases: readonly [provider: string, model: string, member: string][] = [
    ["anthropic", "claude-3-5-sonnet-20241022", '"thinking":{"type":"enabled"'],
    ["bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0", '"thinking":{"type":"enabled"'],
    ["bedrock", "meta.llama3-70b-instruct-v1:0", '"reasoning_effort":"high"'],
    ["gemini", "gemini-1.5-pro", '"thinkingBudget":'],
  ];
  for (const [id, model, member] of cases) {
    const provider = providers.get(id);
    assert.ok(provider !== undefined);
    const members = { reasoning_effort: "high", max_tokens: 8000 };
    assert.equal(begins(provider, callOf(provider, { model }), members), false, `${id} ${model}`);
    const call = callOf(provider, { model, allowedParams: ["reasoning_effort"] });
    assert.ok(Buffer.from(provider.begin(probe(call, members)).request.body).includes(member), `${id} ${model}`);
  }
});

function begins(provider: Provider, call: ProviderCall, members = {}): boolean {
  try {
    provider.begin(probe(call, members));
    return true;
  } catch {
    return false;
  }
}
