import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYaml } from "#chassis/yaml-file.ts";
import { readRouterEnv } from "./config.ts";
import { parseRouterConfig } from "./config-file.ts";

const parse = (text: string, env: Readonly<Record<string, string>> = {}) =>
  parseRouterConfig(parseYaml(text, "config.yaml", env));

test("an empty document routes by defaults", () => {
  const { config, warnings } = parse("{}");
  assert.deepEqual(warnings, []);
  assert.deepEqual(config.deployments, []);
  const { numRetries, timeoutMs, cooldownMs, maxFallbacks, allowedFails } = config.settings;
  assert.deepEqual(
    [numRetries, timeoutMs, cooldownMs, maxFallbacks, allowedFails],
    [2, undefined, 5_000, 5, undefined],
  );
});

test("numbers and flags of variables are texts, and read", () => {
  const { config, warnings } = parse(
    `
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4o
      api_key: x
      rpm: os.environ/RPM
      tpm: 1_000
      weight: os.environ/WEIGHT
      order: os.environ/UNSET
      timeout: os.environ/TIMEOUT
      max_retries: "0"
      drop_params: os.environ/DROP
router_settings: {num_retries: os.environ/RPM, cooldown_time: "1e1", disable_cooldowns: on}
`,
    { RPM: "10", WEIGHT: "0.5", TIMEOUT: " 1.5 ", DROP: "True" },
  );
  assert.deepEqual(warnings, ["model_list[0].litellm_params.order (gpt): UNSET is not set"]);
  const [deployment] = config.deployments;
  assert.ok(deployment !== undefined);
  const { rpm, tpm, weight, order, timeoutMs, numRetries: retries, dropParams } = deployment;
  assert.deepEqual(
    [rpm, tpm, weight, order, timeoutMs, retries, dropParams],
    [10, 1000, 0.5, undefined, 1500, 0, true],
  );
  const { numRetries, cooldownMs, disableCooldowns } = config.settings;
  assert.deepEqual([numRetries, cooldownMs, disableCooldowns], [10, 10_000, true]);
  for (const wrong of ["_1", "ten", "1.5", "0x10", "-1", ""]) {
    const text = `model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: x, rpm: "${wrong}"}}]`;
    assert.throws(() => parse(text), /rpm: expected a positive integer/, wrong);
  }
});

test("a deployment is read", () => {
  const { config, warnings } = parse(
    `
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/KEY
      api_base: https://host.example/v1/
      organization: org-1
      rpm: 10
      tpm: 1000
      weight: 2
      order: 1
      timeout: 1.5
      stream_timeout: 0.25
      max_retries: 4
      input_cost_per_token: 0.00000015
      temperature: 0.1
      extra_body: {seed: 3}
      tags: [free]
    model_info: {id: one, output_cost_per_token: "6e-7", base_model: gpt-4o-mini, mode: chat, access_groups: [beta]}
    extra: 1
`,
    { KEY: "sk-secret" },
  );
  const [deployment] = config.deployments;
  assert.ok(deployment !== undefined);
  const { credential, prices, about, ...rest } = deployment;
  assert.equal(about.params.api_key, "****");
  assert.equal(about.params.timeout, 1.5);
  assert.deepEqual([about.mode, about.accessGroups, about.info.base_model], ["chat", ["beta"], "gpt-4o-mini"]);
  assert.equal(credential?.reveal(), "sk-secret");
  assert.deepEqual(prices, { input: 150_000_000n, output: 600_000_000n });
  assert.deepEqual(rest, {
    modelName: "gpt",
    id: "one",
    model: "gpt-4o",
    provider: "openai",
    missingVariable: undefined,
    baseUrl: "https://host.example/v1",
    settings: {},
    weight: 2,
    rpm: 10,
    tpm: 1000,
    order: 1,
    timeoutMs: 1500,
    streamTimeoutMs: 250,
    numRetries: 4,
    cooldownMs: undefined,
    dropParams: undefined,
    allowedOpenaiParams: [],
    mockResponse: undefined,
    headers: { "openai-organization": "org-1" },
    defaultParams: { temperature: 0.1, seed: 3 },
    baseModel: "gpt-4o-mini",
    maxOutputTokens: undefined,
    credentialName: undefined,
  });
  assert.deepEqual(warnings, [
    "model_list[0].extra is unknown, ignored",
    "model_list[0].litellm_params.tags is not built yet and has no effect",
  ]);
});

test("what is not built, unknown or not set is reported by name", async (t) => {
  const model = (params: string) => `model_list: [{model_name: m, litellm_params: {${params}}}]`;
  const cases: readonly [name: string, text: string, warning: string][] = [
    ["a section", "guardrails: []", "guardrails is not built yet and has no effect"],
    ["an unknown section", "nonsense: 1", "nonsense is unknown, ignored"],
    ["a setting", "router_settings: {redis_host: x}", "router_settings.redis_host is not built yet and has no effect"],
    ["an unknown setting", "litellm_settings: {nonsense: x}", "litellm_settings.nonsense is unknown, ignored"],
    [
      "a strategy",
      "router_settings: {routing_strategy: least-busy}",
      "router_settings.routing_strategy least-busy is not built yet; simple-shuffle is used",
    ],
    [
      "a price",
      model("model: openai/a, api_key: k, input_cost_per_second: 1"),
      "model_list[0].litellm_params.input_cost_per_second is not built yet and has no effect",
    ],
    [
      "a credential of others",
      model("model: openai/a, api_key: k, aws_secret_access_key: k"),
      "model_list[0].litellm_params.aws_secret_access_key is not built yet and has no effect",
    ],
    [
      "a key's variable",
      model("model: openai/a, api_key: os.environ/NO"),
      "model_list[0] (m): NO is not set; its calls fail until it is",
    ],
    [
      "another variable",
      model("model: openai/a, api_key: k, rpm: os.environ/NO"),
      "model_list[0].litellm_params.rpm (m): NO is not set",
    ],
    [
      "a provider",
      model("model: aws_polly/a"),
      "model_list[0] (m): provider aws_polly is not built yet; the deployment is left out",
    ],
    [
      "a fallback to nothing",
      "router_settings: {fallbacks: [{a: [b]}]}",
      "fallback b is not in model_list and has no known provider",
    ],
  ];
  for (const [name, text, warning] of cases) {
    await t.test(name, () => assert.deepEqual(parse(text).warnings, [warning]));
  }
});

test("what is wrong stops the start", async (t) => {
  const model = (params: string) => `model_list:\n - model_name: m\n   litellm_params: {${params}}`;
  const cases: readonly [name: string, text: string, message: string][] = [
    ["a list that is none", "model_list: 3", "config.yaml:1: model_list: expected a list of models, got 3"],
    [
      "no model",
      model("api_key: k"),
      "config.yaml:3: model_list[0].litellm_params.model: expected a string, got nothing",
    ],
    [
      "rpm",
      model("model: openai/a, rpm: ten"),
      'config.yaml:3: model_list[0].litellm_params.rpm: expected a positive integer, got "ten"',
    ],
    [
      "a price",
      model("model: openai/a, input_cost_per_token: free"),
      'config.yaml:3: model_list[0].litellm_params.input_cost_per_token: expected a price in US dollars per token, 0 or more, got "free"',
    ],
    [
      "an address",
      model("model: openai/a, api_base: 'ftp://x'"),
      'config.yaml:3: model_list[0].litellm_params.api_base: expected an http:// or https:// address, got "ftp://x"',
    ],
    [
      "a key that is a number",
      model("model: openai/a, api_key: 12345"),
      "config.yaml:3: model_list[0].litellm_params.api_key: expected a string, got a number",
    ],
    [
      "a name without provider",
      model("model: my-model"),
      'config.yaml:3: model_list[0].litellm_params.model: expected provider/model, or a name whose provider is known, got "my-model"',
    ],
    [
      "a strategy",
      "router_settings: {routing_strategy: fastest}",
      'config.yaml:1: router_settings.routing_strategy: expected one of simple-shuffle, least-busy, usage-based-routing, usage-based-routing-v2, latency-based-routing, cost-based-routing, got "fastest"',
    ],
    [
      "fallbacks",
      "litellm_settings: {fallbacks: {a: b}}",
      "config.yaml:1: litellm_settings.fallbacks: expected a list such as [{model: [other-model]}], got a mapping",
    ],
    [
      "a timeout",
      "router_settings: {timeout: 0}",
      "config.yaml:1: router_settings.timeout: expected a number of seconds above 0 and up to 2000000, got 0",
    ],
  ];
  for (const [name, text, message] of cases) {
    await t.test(name, () => assert.throws(() => parse(text), { name: "ConfigurationError", message }));
  }
});

test("router_settings win over litellm_settings; fallbacks and aliases are read", () => {
  const { settings, aliases } = parse(`
model_list:
  - {model_name: a, litellm_params: {model: mock/a}}
router_settings:
  num_retries: 1
  fallbacks: [{a: [mock/b, {model: mock/c, temperature: 1}]}]
  model_group_alias: {x: a, y: {model: a, hidden: true}}
litellm_settings: {num_retries: 7, request_timeout: 30, drop_params: true, default_fallbacks: [a], allowed_fails: 0}
`).config;
  assert.equal(settings.numRetries, 1);
  assert.equal(settings.timeoutMs, 30_000);
  assert.equal(settings.allowedFails, 0);
  assert.equal(settings.dropParams, true);
  assert.deepEqual([...settings.fallbacks], [["a", ["mock/b", "mock/c"]]]);
  assert.deepEqual(settings.defaultFallbacks, ["a"]);
  assert.deepEqual(
    [...aliases],
    [
      ["x", { model: "a", hidden: false }],
      ["y", { model: "a", hidden: true }],
    ],
  );
});

test("a machine's identity is used at Azure where the file says so", () => {
  const credentialsOf = (settings: string) =>
    parse(`
model_list:
  - {model_name: a, litellm_params: {model: azure/a, api_base: "https://a.test"}}
  - {model_name: b, litellm_params: {model: azure/b, api_base: "https://a.test", azure_credential: managed_identity}}
  - {model_name: c, litellm_params: {model: openai/c}}
litellm_settings: {${settings}}
`).config.deployments.map(({ settings: given }) => given.azure_credential);
  assert.deepEqual(credentialsOf("enable_azure_ad_token_refresh: true"), [
    "DefaultAzureCredential",
    "managed_identity",
    undefined,
  ]);
  assert.deepEqual(credentialsOf("drop_params: true"), [undefined, "managed_identity", undefined]);
});

test("the environment: keys, addresses, and what is wrong with them", () => {
  const env = readRouterEnv({
    OPENAI_API_KEY: "k",
    OPENAI_API_BASE: "http://a/v1/",
    OLLAMA_API_BASE: "http://b:11434",
    GRPC_API_BASE: "grpc://c:50051/",
  });
  assert.equal(env.providers.get("openai")?.credential?.reveal(), "k");
  assert.equal(env.providers.get("openai")?.baseUrl, "http://a/v1");
  assert.equal(env.providers.get("ollama")?.baseUrl, "http://b:11434/v1");
  assert.equal(env.providers.get("grpc")?.baseUrl, "grpc://c:50051");
  assert.equal(env.providers.get("anthropic")?.credential, undefined);
  assert.throws(() => readRouterEnv({ GROQ_API_BASE: "groq" }), /GROQ_API_BASE must be an http/);
  for (const wrong of ["soon", "0", "-1", "1e9"]) {
    assert.throws(() => readRouterEnv({ REQUEST_TIMEOUT: wrong }), /REQUEST_TIMEOUT must be a number of seconds/);
  }
});
