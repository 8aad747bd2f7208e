import assert from "node:assert/strict";
import { test } from "node:test";
import { errorName, startRouter } from "../testing/router-harness.ts";
import { createScriptedAdapter } from "../testing/scripted-adapter.ts";

const adapter = createScriptedAdapter({});
const yaml = `
model_list:
  - {model_name: own, litellm_params: {model: groq/x, api_key: k}}
  - {model_name: both, litellm_params: {model: groq/x, api_key: k}}
  - {model_name: both, litellm_params: {model: openai/x, api_key: k}}
  - {model_name: "anthropic/*", litellm_params: {model: "anthropic/*"}}
  - {model_name: "ds/*", litellm_params: {model: "deepseek/*"}}
router_settings: {model_group_alias: {short: own, secret: {model: own, hidden: true}}}
`;

const only = (...models: string[]) => ({ levels: [{ level: "key", models }] });

test("the list holds the file's names, what stands behind its patterns, and the mock", async () => {
  const { models } = await startRouter({ yaml, adapter, env: { ANTHROPIC_API_KEY: "k" } });
  const { models: all } = await models.listModels({});
  const owners = new Map(all.map(({ id, ownedBy }) => [id, ownedBy]));
  assert.equal(owners.get("own"), "groq");
  assert.equal(owners.get("both"), "openai");
  assert.equal(owners.get("short"), "groq");
  assert.equal(owners.get("mock/echo"), "mock");
  assert.equal(owners.get("anthropic/claude-sonnet-4-0"), "anthropic");
  assert.equal(
    [...owners.keys()].some((id) => id.startsWith("ds/") || id.includes("*") || id === "secret"),
    false,
  );
  assert.deepEqual([...owners.keys()], [...owners.keys()].sort());
  const narrow = await models.listModels({ callerModels: only("own", "mock/*") });
  assert.deepEqual(
    narrow.models.map(({ id }) => id),
    ["mock/echo", "own"],
  );
});

test("without a file, every provider with a key is listed", async () => {
  const { models } = await startRouter({ adapter, env: { DEEPSEEK_API_KEY: "k" } });
  const ids = (await models.listModels({})).models.map(({ id }) => id);
  assert.ok(ids.includes("deepseek/deepseek-chat"));
  assert.ok(ids.every((id) => id.startsWith("deepseek/") || id === "mock/echo"));
});

test("one model", async () => {
  const { models } = await startRouter({ yaml, adapter });
  assert.equal((await models.getModel({ id: "own" })).model?.ownedBy, "groq");
  assert.equal((await models.getModel({ id: "mock/anything" })).model?.id, "mock/anything");
  for (const request of [{ id: "none" }, { id: "own", callerModels: only("other") }, { id: "" }]) {
    await assert.rejects(models.getModel(request), (error) => errorName(error) === "NOT_FOUND");
  }
});

test("patterns as they are written, and who takes over", async () => {
  const { models } = await startRouter({
    yaml: `${yaml}
litellm_settings: {fallbacks: [{own: [both]}], context_window_fallbacks: [{own: [short]}]}`,
    adapter,
  });
  const list = async (request: object) =>
    (await models.listModels({ callerModels: only("own", "ds/*"), ...request })).models;
  const ids = (await list({ returnWildcardRoutes: true })).map(({ id }) => id);
  assert.deepEqual(ids, ["ds/*", "own"]);
  for (const [fallbackType, expected] of [
    ["general", ["both"]],
    ["context_window", ["short"]],
    ["", []],
  ] as const) {
    const [own] = await list({ fallbackType });
    assert.deepEqual(own?.fallbacks, expected, fallbackType);
  }
});
