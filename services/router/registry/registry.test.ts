import assert from "node:assert/strict";
import { test } from "node:test";
import { createSealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { readRouterEnv } from "../config.ts";
import { parseRouterConfig } from "../config-file.ts";
import type { PriceBook } from "../prices/price-book.ts";
import { createProviderNames } from "../provider-table.ts";
import { compileGlob, globMatch, substitute } from "./glob.ts";
import { createRegistry } from "./registry.ts";

const noPrices: PriceBook = { source: () => () => undefined, models: () => [] };

function registryOf(yaml: string, variables: Readonly<Record<string, string>> = {}) {
  const { config } = parseRouterConfig(parseYaml(yaml, "config.yaml", variables));
  const sealer = createSealer(new Secret("salt"));
  return createRegistry(config, {
    env: readRouterEnv(variables, config.providers),
    settings: config.settings,
    sealer,
    prices: noPrices,
    names: createProviderNames(config.providers),
  });
}

test("patterns match whole names and capture what their stars stand for", () => {
  const cases: readonly [pattern: string, name: string, captures: string[] | undefined][] = [
    ["a", "a", []],
    ["a", "ab", undefined],
    ["*", "", [""]],
    ["openai/*", "openai/gpt-4o", ["gpt-4o"]],
    ["openai/*", "openai", undefined],
    ["a*a", "a", undefined],
    ["a*b*c", "a1b2c", ["1", "2"]],
    ["a*b*c", "abc", ["", ""]],
    ["*-*", "a-b-c", ["a", "b-c"]],
    ["(.+)*", "(.+)x", ["x"]],
  ];
  for (const [pattern, name, captures] of cases)
    assert.deepEqual(globMatch(compileGlob(pattern), name), captures, pattern);
  assert.equal(substitute("us.*/*", ["a", "b"]), "us.a/b");
  assert.equal(substitute("*/*", ["$&"]), "$&/$&");
});

test("names are resolved in order: alias, id, exact, pattern, provider", async (t) => {
  const registry = registryOf(
    `
model_list:
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o}, model_info: {id: first}}
  - {model_name: "openai/*", litellm_params: {model: "openrouter/openai/*"}}
  - {model_name: "openai/gpt-4*", litellm_params: {model: "openai/gpt-4*"}}
  - {model_name: "mine-*", litellm_params: {model: groq/fixed}}
  - {model_name: openai/gpt-4o, litellm_params: {model: mistral/exact}}
router_settings: {model_group_alias: {short: gpt}}
`,
    { OPENAI_API_KEY: "k", GROQ_API_KEY: "k", ANTHROPIC_API_KEY: "k" },
  );
  const cases: readonly [name: string, expected: string | undefined][] = [
    ["gpt", "gpt: openai gpt-4o"],
    ["short", "gpt: openai gpt-4o"],
    ["first", "first: openai gpt-4o"],
    ["openai/gpt-4o", "openai/gpt-4o: mistral exact"],
    ["openai/gpt-4.1", "openai/gpt-4.1: openai gpt-4.1"],
    ["openai/o3", "openai/o3: openrouter openai/o3"],
    ["mine-1", "mine-1: groq fixed"],
    ["groq/llama", "groq/llama: groq llama"],
    ["claude-sonnet-4", "claude-sonnet-4: anthropic claude-sonnet-4"],
    ["gpt-4o", "gpt-4o: openai gpt-4o"],
    ["mock/echo", "mock/echo: mock echo"],
    ["ollama/llama3", "ollama/llama3: ollama llama3"],
    ["ollama_chat/llama3", "ollama_chat/llama3: ollama_chat llama3"],
    ["deepseek/x", undefined],
    ["deepseek-chat", undefined],
    ["nobody/x", undefined],
    ["x", undefined],
    ["openai/", "openai/: openrouter openai/"],
    [`mock/${"x".repeat(300)}`, undefined],
    ["__proto__", undefined],
  ];
  for (const [name, expected] of cases) {
    await t.test(name.slice(0, 30), () => {
      const group = registry.resolve(name);
      const [deployment] = group?.deployments ?? [];
      const found = deployment && `${group?.name}: ${deployment.provider} ${deployment.target.model}`;
      assert.equal(found, expected);
      assert.equal(registry.resolve(name), group, "the same group again");
    });
  }
  assert.equal(registry.missingVariable("deepseek/x"), "DEEPSEEK_API_KEY");
  assert.equal(registry.missingVariable("openai/x"), undefined);
});

test("a pattern for everything brings the provider from the name", () => {
  const registry = registryOf(`model_list: [{model_name: "*", litellm_params: {model: "*"}}]`, { OPENAI_API_KEY: "k" });
  assert.equal(registry.resolve("openai/x")?.deployments[0]?.provider, "openai");
  assert.equal(registry.resolve("gpt-4o")?.deployments[0]?.target.model, "gpt-4o");
  assert.equal(registry.resolve("groq/x")?.deployments[0]?.missingVariable, "GROQ_API_KEY");
  assert.equal(registry.resolve("unknown"), undefined);
});

test("ids are stable, free of credentials, and different where deployments are", () => {
  const yaml = (...keys: string[]) =>
    `model_list: [${keys.map((key) => `{model_name: m, litellm_params: {model: openai/a, api_key: ${key}}}`).join(", ")}]`;
  const ids = (text: string) =>
    registryOf(text)
      .resolve("m")
      ?.deployments.map(({ id }) => id);
  const [first, second] = ids(yaml("k1", "k2")) ?? [];
  assert.match(first ?? "", /^[0-9a-f]{64}$/);
  assert.equal(second, `${first}-2`);
  assert.deepEqual(ids(yaml("other")), [first]);
  assert.notDeepEqual(ids(yaml("k1").replace("openai/a", "openai/b")), [first]);
});

test("groups made on demand are bounded", () => {
  const registry = registryOf("{}");
  const early = registry.resolve("mock/0");
  for (let n = 1; n <= 2_000; n++) registry.resolve(`mock/${n}`);
  assert.notEqual(registry.resolve("mock/0"), early);
  assert.equal(registry.resolve("mock/2000"), registry.resolve("mock/2000"));
});

test("a provider that needs no key answers at an address that somebody gave, not at any local port", () => {
  assert.equal(registryOf("{}", {}).resolve("llamafile/x"), undefined);
  assert.equal(registryOf("{}", {}).missingVariable("llamafile/x"), "LLAMAFILE_API_BASE");
  const given = registryOf("{}", { LLAMAFILE_API_BASE: "http://host/v1" });
  assert.equal(given.missingVariable("llamafile/x"), undefined);
  assert.equal(given.resolve("llamafile/x")?.deployments[0]?.target.baseUrl, "http://host/v1");
  const own = "providers: [{ id: acme, base_url: 'http://acme/v1', needs_key: false }]";
  assert.equal(registryOf(own, {}).resolve("acme/x")?.deployments[0]?.provider, "acme");
});

test("a provider that finds credentials by itself needs a setting, or a deployment, and no key", () => {
  const name = "bedrock/us.amazon.nova-lite-v1:0";
  assert.equal(registryOf("{}", {}).resolve(name), undefined);
  assert.equal(registryOf("{}", {}).missingVariable(name), "AWS_BEARER_TOKEN_BEDROCK");
  const placed = registryOf("{}", { AWS_REGION: "eu-west-1" });
  assert.equal(placed.missingVariable(name), undefined);
  assert.equal(placed.resolve(name)?.deployments[0]?.missingVariable, undefined);
  const role = "litellm_params: {model: 'bedrock/a.b', aws_role_name: 'arn:x', aws_session_name: s}";
  const [deployment] = registryOf(`model_list: [{model_name: m, ${role}}]`, {}).resolve("m")?.deployments ?? [];
  assert.deepEqual(deployment?.target.settings, { aws_role_name: "arn:x", aws_session_name: "s" });
  assert.equal(deployment?.missingVariable, undefined);
});

test("the time a call may take: the deployment's, the configuration's, the environment's, a default", () => {
  const timeouts = (yaml: string, variables?: Readonly<Record<string, string>>) =>
    registryOf(`model_list: [{ model_name: m, litellm_params: { model: mock/x${yaml}`, variables).resolve("m")
      ?.deployments[0]?.timeoutMs;
  const env = { REQUEST_TIMEOUT: "90.5" };
  assert.equal(timeouts(" } }]"), 6_000_000);
  assert.equal(timeouts(" } }]", env), 90_500);
  assert.equal(timeouts(" } }]\nlitellm_settings: { request_timeout: 30 }", env), 30_000);
  assert.equal(timeouts(" } }]\nrouter_settings: { timeout: 20 }", env), 20_000);
  assert.equal(timeouts(", timeout: 10 } }]\nrouter_settings: { timeout: 20 }", env), 10_000);
});
