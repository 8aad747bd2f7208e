import assert from "node:assert/strict";
import { test } from "node:test";
import { configuredRowSchema } from "#catalog/provider-row.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { readRouterEnv } from "./config.ts";
import { parseRouterConfig } from "./config-file.ts";
import type { PriceBook } from "./prices/price-book.ts";
import { createProviderNames, priceOf } from "./provider-table.ts";

const parse = (text: string) => parseRouterConfig(parseYaml(text, "config.yaml", {})).config;

test("a provider of the configuration is one like any other", () => {
  const config = parse(`
providers:
  - id: acme
    aliases: [acme2]
    base_url: https://api.acme.test/v1
    key_variables: [ACME_API_KEY]
    base_url_variables: [ACME_API_BASE]
    settings: [{ name: region, variables: [ACME_REGION] }]
model_list:
  - model_name: a
    litellm_params: { model: acme2/m, region: eu }
`);
  const [deployment] = config.deployments;
  assert.equal(deployment?.provider, "acme");
  assert.deepEqual(deployment?.settings, { region: "eu" });
  const env = readRouterEnv({ ACME_API_KEY: "k", ACME_API_BASE: "http://own/" }, config.providers);
  assert.equal(env.providers.get("acme")?.credential?.reveal(), "k");
  assert.equal(env.providers.get("acme")?.baseUrl, "http://own");
  const found = createProviderNames(config.providers).split("acme/x/y");
  assert.equal(found?.model, "x/y");
  const row = configuredRowSchema.parse(JSON.parse(Buffer.from(found?.provider.adapterRow ?? []).toString()));
  assert.equal(row.paths.chat_completions, "chat/completions");
});

test("prices are looked up by the provider's own spelling", () => {
  const asked: string[] = [];
  const prices: PriceBook = {
    source(provider, model) {
      asked.push(`${provider}: ${model}`);
      return () => undefined;
    },
    models: () => [],
  };
  const names = createProviderNames();
  for (const name of ["fireworks_ai/m", "fireworks_ai/accounts/me/m", "codestral/m", "groq/m"]) {
    const found = names.split(name);
    if (found !== undefined) priceOf(prices, found.provider, found.model);
  }
  const spelled = ["fireworks: accounts/fireworks/models/m", "fireworks: accounts/me/m", "mistral: m", "groq: m"];
  assert.deepEqual(asked, spelled);
});

test("a row that is wrong stops the start, with its line", () => {
  const cases: [string, RegExp][] = [
    ["providers:\n  - base_url: https://x.test", /config\.yaml:2: .*providers\[0\]\.id/],
    ["providers:\n  - id: acme\n    base_url: nonsense", /config\.yaml:3: .*providers\[0\]\.base_url/],
    ["providers:\n  - id: acme\n    bas_url: https://x.test", /config\.yaml:2: providers\[0\]: expected no bas_url/],
    ["providers:\n  - id: acme\n    kind: native", /config\.yaml:3: .*providers\[0\]\.kind/],
    ["providers:\n  - id: acme\n    renames: [{ from: a, to: b, models: '(' }]", /config\.yaml:3: .*models/],
    ["providers:\n  - id: acme\n  - id: acme", /config\.yaml:3: .*no other provider has/],
    ["providers:\n  - id: openai", /config\.yaml:2: .*no other provider has/],
    ["providers:\n  - id: acme\n    aliases: [azure_text]", /no other provider has/],
    ["providers: {}", /config\.yaml:1: .*providers.*a list/],
  ];
  for (const [text, message] of cases) assert.throws(() => parse(text), message, text);
});
