import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type FakeUpstream, type RecordedRequest, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { helloAnswer, jsonAnswer } from "./harness/provider-answers.ts";
import { type RawAnswer, sendRaw } from "./harness/raw-request.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const masterKey = "sk-1234";
const chat = "/v1/chat/completions";
const hello = [{ role: "user", content: "Hello!" }];

/** A provider that greets, and is down at addresses that say so. */
function provider({ url }: RecordedRequest) {
  if (url.startsWith("/down/")) return jsonAnswer({ error: { message: "down", type: "t" } }, 500);
  return helloAnswer(url.endsWith("/messages") ? "anthropic" : "openai", false);
}

function lastRequest(upstream: FakeUpstream) {
  const { url, headers, body } = upstream.requests.at(-1) ?? assert.fail("the provider was not asked");
  return { url, headers, body: JSON.parse(body.toString()) };
}

describe("a LiteLLM configuration", () => {
  let gateway: GatewayProcess;
  let upstream: FakeUpstream;
  let dataDir: string;
  before(async () => {
    dataDir = await makeDataDir();
    upstream = await startFakeUpstream(provider);
    const config = join(dataDir, "config.yaml");
    await writeFile(config, configuration(upstream.url));
    const env = { CONFIG_FILE_PATH: config, MY_KEY: "sk-from-the-environment", NUM_WORKERS: "4", DATABASE_HOST: "db" };
    gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
  });
  after(async () => {
    await gateway?.stop();
    await upstream?.close();
    await removeDataDir(dataDir);
  });

  const configuration = (address: string) => `
environment_variables:
  KEY_FROM_FILE: sk-from-the-file
  REDIS_HOST: redis
model_list:
  - model_name: spread
    litellm_params: { model: openai/gpt-4o, mock_response: heavy, weight: 3 }
  - model_name: spread
    litellm_params: { model: openai/gpt-4o, mock_response: light, weight: 1 }
  - model_name: spread
    litellm_params: { model: openai/gpt-4o, mock_response: never, weight: 0 }
  - model_name: house/*
    litellm_params: { model: openai/*, api_base: ${address}/wild, api_key: os.environ/MY_KEY }
  - model_name: flaky
    litellm_params: { model: openai/gpt-4o, api_base: ${address}/down, api_key: k, num_retries: 0 }
  - model_name: steady
    litellm_params:
      model: openai/gpt-4o
      api_base: ${address}/steady/
      api_key: os.environ/KEY_FROM_FILE
      temperature: 0.25
      extra_headers: { X-Team: red }
      extra_body: { extra: [1] }
    model_info: { id: steady-1 }
  - model_name: own
    litellm_params:
      model: openai/our-own
      api_base: ${address}/v1
      api_key: k
      input_cost_per_token: 0.000001
      output_cost_per_token: 2e-6
  - model_name: unpriced
    litellm_params: { model: openai/nobody-knows, api_base: ${address}/v1, api_key: k }
  - model_name: keyless
    litellm_params: { model: openai/gpt-4o, api_base: ${address}/v1, api_key: os.environ/NOT_SET }
  - model_name: elsewhere
    litellm_params: { model: aws_polly/neural, aws_region_name: eu-central-1 }
  - model_name: tagged
    litellm_params: { model: openai/gpt-4o, api_base: ${address}/v1, api_key: k, tags: [a] }
router_settings:
  routing_strategy: least-busy
  num_retries: 1
  disable_cooldowns: true
  fallbacks: [{ flaky: [steady] }]
  redis_host: localhost
litellm_settings:
  drop_params: true
  callbacks: [prometheus]
general_settings:
  alerting: [slack]
  nobody_knows: 1
guardrails: []
`;

  async function call(model: string, members: object = {}, key = masterKey): Promise<RawAnswer> {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    return sendRaw(gateway.url + chat, { headers, body: [JSON.stringify({ model, messages: hello, ...members })] });
  }

  test("weights share the calls of a name", async () => {
    const counts = { heavy: 0, light: 0, never: 0 };
    for (let count = 0; count < 80; count += 1) {
      const { text } = await call("spread");
      if (text.includes("heavy")) counts.heavy += 1;
      else if (text.includes("light")) counts.light += 1;
      else counts.never += 1;
    }
    assert.equal(counts.never, 0);
    assert.ok(counts.light > 0 && counts.heavy > counts.light, JSON.stringify(counts));
  });

  test("a pattern hands its part on, with the key of the environment", async () => {
    assert.equal((await call("house/gpt-4o-mini")).status, 200);
    const { url, headers, body } = lastRequest(upstream);
    assert.deepEqual([url, headers.authorization], ["/wild/chat/completions", "Bearer sk-from-the-environment"]);
    assert.equal(body.model, "gpt-4o-mini");
    assert.equal((await call("homes/gpt-4o-mini")).status, 404);
  });

  test("parameters and headers of a deployment go along, the client's own win", async () => {
    const answer = await call("steady", { temperature: 1, top_p: 0.5 });
    assert.equal(answer.headers["x-litellm-model-id"], "steady-1");
    const { url, headers, body } = lastRequest(upstream);
    assert.equal(url, "/steady/chat/completions");
    assert.deepEqual([headers.authorization, headers["x-team"]], ["Bearer sk-from-the-file", "red"]);
    assert.deepEqual([body.temperature, body.top_p, body.extra], [1, 0.5, [1]]);
    await call("steady");
    assert.equal(lastRequest(upstream).body.temperature, 0.25);
  });

  test("a fallback takes over, unless the client will not have it", async () => {
    const answer = await call("flaky");
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers["x-litellm-model-group"], "steady");
    assert.equal(answer.headers["x-litellm-attempted-fallbacks"], "1");
    assert.equal((await call("flaky", { disable_fallbacks: true })).status, 500);
    assert.equal((await call("flaky", { fallbacks: ["own"] })).headers["x-litellm-model-group"], "own");
  });

  test("a price of one's own is in the header and in the row", async () => {
    const key = await generateKey(gateway);
    const answer = await call("own", {}, key);
    // 10 tokens of a millionth of a dollar and 5 of two.
    assert.equal(answer.headers["x-litellm-response-cost"], "0.00002");
    const [row] = await spendRows(gateway, key, 1);
    assert.deepEqual([row?.cost_nano_usd, row?.cost_state], [20_000, "priced"]);
  });

  test("an unknown price is said in the header, in the row and in a metric", async () => {
    const key = await generateKey(gateway);
    const answer = await call("unpriced", {}, key);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["x-litellm-response-cost"], undefined);
    assert.equal(answer.headers["x-sluice-cost-state"], "unpriced");
    const [row] = await spendRows(gateway, key, 1);
    assert.deepEqual([row?.cost_nano_usd, row?.cost_state], [0, "unpriced"]);
    const { text } = await sendRaw(`${gateway.url}/metrics`, { method: "GET" });
    assert.match(text, /^sluice_router_unpriced_calls(?:_total)?\{.*\} 1$/m);
  });

  test("a key that is not set fails its calls and names its variable", async () => {
    const answer = await call("keyless");
    assert.equal(answer.status, 401);
    assert.match(answer.text, /NOT_SET/);
  });

  test("the names of the file are the list of models", async () => {
    const { text } = await sendRaw(`${gateway.url}/v1/models`, {
      method: "GET",
      headers: { authorization: `Bearer ${masterKey}` },
    });
    for (const name of ["spread", "steady", "own", "unpriced"]) assert.ok(text.includes(`"${name}"`), name);
    assert.ok(!text.includes('"elsewhere"'), "a deployment whose provider is not built is listed");
  });

  test("what is not built is said by name, once", () => {
    const lines = gateway.output().split("\n");
    const told = [
      /routing_strategy least-busy is not built/,
      /router_settings\.redis_host is not built/,
      /litellm_settings\.callbacks is not built/,
      /general_settings\.alerting is not built/,
      /general_settings\.nobody_knows is unknown/,
      /guardrails is not built/,
      /litellm_params\.tags is not built/,
      /provider aws_polly is not built/,
      /NOT_SET is not set/,
      /NUM_WORKERS above 1 is not built/,
      /REDIS_HOST is not built/,
      /DATABASE_HOST without DATABASE_NAME/,
      /the price of a model is unknown.*nobody-knows/,
    ];
    for (const said of told) assert.equal(lines.filter((line) => said.test(line)).length, 1, String(said));
    const others = lines.filter((line) => /"level":"warn"/.test(line) && !told.some((said) => said.test(line)));
    assert.deepEqual(others, []);
  });
});

describe("a provider's key in the environment", () => {
  let gateway: GatewayProcess;
  let upstream: FakeUpstream;
  let dataDir: string;
  before(async () => {
    dataDir = await makeDataDir();
    upstream = await startFakeUpstream(provider);
    const at = (path: string) => upstream.url + path;
    const env = {
      OPENROUTER_API_KEY: "sk-or",
      OPENROUTER_API_BASE: at("/openrouter"),
      OPENAI_API_KEY: "sk-openai",
      OPENAI_BASE_URL: at("/openai"),
      ANTHROPIC_API_KEY: "sk-anthropic",
      ANTHROPIC_API_BASE: at("/anthropic"),
      GROQ_API_KEY: "sk-groq",
      GROQ_API_BASE: at("/groq"),
      DEEPSEEK_API_KEY: "sk-deepseek",
      DEEPSEEK_API_BASE: at("/deepseek"),
      MISTRAL_API_KEY: "sk-mistral",
      MISTRAL_API_BASE: at("/mistral/v1"),
      OLLAMA_API_BASE: at(""),
    };
    gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
  });
  after(async () => {
    await gateway?.stop();
    await upstream?.close();
    await removeDataDir(dataDir);
  });

  test("the quick start of LiteLLM answers as it is", async () => {
    const response = await fetch(`${gateway.url}/chat/completions`, {
      method: "POST",
      headers: { Authorization: "Bearer sk-1234", "Content-Type": "application/json" },
      body: '{"model":"openrouter/openai/gpt-3.5-turbo","messages":[{"role":"user","content":"Hello!"}]}',
    });
    assert.equal(response.status, 200);
    assert.match(await response.text(), /"content":"Hello"/);
    const { url, headers, body } = lastRequest(upstream);
    assert.deepEqual([url, headers.authorization], ["/openrouter/chat/completions", "Bearer sk-or"]);
    assert.equal(body.model, "openai/gpt-3.5-turbo");
  });

  const names: readonly (readonly [asked: string, url: string, key: string, model: string])[] = [
    ["gpt-4o", "/openai/chat/completions", "Bearer sk-openai", "gpt-4o"],
    ["openai/gpt-4o", "/openai/chat/completions", "Bearer sk-openai", "gpt-4o"],
    ["o3-mini", "/openai/chat/completions", "Bearer sk-openai", "o3-mini"],
    ["claude-sonnet-4-5", "/anthropic/v1/messages", "sk-anthropic", "claude-sonnet-4-5"],
    ["anthropic/claude-opus-4-1", "/anthropic/v1/messages", "sk-anthropic", "claude-opus-4-1"],
    ["groq/llama-3.3-70b", "/groq/chat/completions", "Bearer sk-groq", "llama-3.3-70b"],
    ["deepseek-chat", "/deepseek/chat/completions", "Bearer sk-deepseek", "deepseek-chat"],
    ["mistral-large-latest", "/mistral/v1/chat/completions", "Bearer sk-mistral", "mistral-large-latest"],
    ["ollama/llama3.2", "/v1/chat/completions", "", "llama3.2"],
  ];
  for (const [asked, url, key, model] of names) {
    test(`${asked} finds its provider`, async () => {
      const headers = { "x-api-key": masterKey };
      const answer = await sendRaw(gateway.url + chat, {
        headers,
        body: [JSON.stringify({ model: asked, messages: hello })],
      });
      assert.equal(answer.status, 200, answer.text);
      const sent = lastRequest(upstream);
      assert.equal(sent.url, url);
      assert.equal(sent.headers["x-api-key"] ?? sent.headers.authorization ?? "", key);
      assert.equal(sent.body.model, model);
    });
  }
});
