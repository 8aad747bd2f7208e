import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixture,
  fixtureEvents,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
  toldInPieces,
} from "../../translate/testing/provider-call.ts";
import { sap } from "./sap.ts";

const user = { role: "user", content: "Hi" };
const key = {
  clientid: "id",
  clientsecret: "secret",
  url: "https://auth.test",
  serviceurls: { AI_API_URL: "https://api.test" },
};

function begin(body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  const call = { model: "gpt-4o", credential: new Secret(JSON.stringify(key)), stream: body.stream === true };
  return sap.begin(
    providerCall(
      { model: "group", ...(body.input === undefined ? { messages: [user] } : {}), ...body },
      { ...call, ...changes },
    ),
  );
}

const sent = (body: JsonObject, changes: Partial<ProviderCall> = {}) => bodyObject(begin(body, changes).request.body);

test("a service key gives the address and the grant", () => {
  const parts = {
    aicore_client_id: "id",
    aicore_client_secret: "secret",
    aicore_auth_url: "https://auth.test/oauth/token",
  };
  const credentials = [
    key,
    { api_key: JSON.stringify(key), aicore_client_id: "other" },
    { aicore_service_key: key },
    parts,
  ];
  for (const credential of credentials) {
    const changes = { credential: new Secret(JSON.stringify(credential)), baseUrl: "https://api.test/v2" };
    const { url, tokenGrant, headers } = begin({}, changes).request;
    assert.equal(url, "https://api.test/v2/inference/deployments/{deploymentId}/v2/completion");
    assert.equal(tokenGrant?.url, "https://auth.test/oauth/token");
    assert.equal(Buffer.from(tokenGrant?.basic?.reveal() ?? "", "base64").toString(), "id:secret");
    assert.deepEqual([headers["ai-resource-group"], headers.authorization], ["default", undefined]);
  }
  const own = begin(
    {},
    { baseUrl: "https://x.test/v2/inference/deployments/d1", settings: { aicore_resource_group: "g" } },
  );
  assert.equal(own.request.url, "https://x.test/v2/inference/deployments/d1/v2/completion");
  assert.equal(own.request.headers["ai-resource-group"], "g");
  const token = begin({}, { credential: new Secret("ey.token"), baseUrl: "https://x.test/deployments/d1" }).request;
  assert.deepEqual([token.headers.authorization, token.tokenGrant], ["Bearer ey.token", undefined]);
  assert.match(begin({}).request.url, /^https:\/\/api\.test\/v2\/inference/);
  assert.throws(() => begin({}, { credential: undefined }), /AICORE_SERVICE_KEY/);
  assert.throws(() => begin({}, { credential: new Secret(JSON.stringify(parts)) }), /AICORE_BASE_URL/);
});

test("a request is OpenAI's inside a template", () => {
  const tools = [{ type: "function", function: { name: "f" } }];
  const body = {
    tools,
    tool_choice: "auto",
    temperature: 0.5,
    max_tokens: 5,
    user: "u",
    response_format: { type: "text" },
  };
  assert.deepEqual(sent(body, { model: "gpt-4o@2024-08-06" }), {
    config: {
      modules: {
        prompt_templating: {
          prompt: { template: [user], tools, response_format: { type: "text" } },
          model: {
            name: "gpt-4o",
            version: "2024-08-06",
            params: { tool_choice: "auto", temperature: 0.5, max_tokens: 5 },
          },
        },
      },
    },
  });
  const { config } = sent({ stream: true });
  assert.deepEqual(Object(config).stream, { enabled: true });
  assert.deepEqual(Object(config).modules.prompt_templating.model.params, { stream_options: { include_usage: true } });
});

test("text that looks like a placeholder stays text", () => {
  const content: JsonObject[] = [
    { type: "text", text: "b {{c}}" },
    { type: "image_url", image_url: { url: "data:x" } },
  ];
  const { config, placeholder_values: values } = sent({
    messages: [
      { role: "user", content: "{{?a}}" },
      { role: "user", content },
    ],
  });
  assert.deepEqual(Object(config).modules.prompt_templating.prompt.template, [
    { role: "user", content: "{{?text_0}}" },
    { role: "user", content: [{ type: "text", text: "{{?text_1}}" }, content[1]] },
  ]);
  assert.deepEqual(values, { text_0: "{{?a}}", text_1: "b {{c}}" });
});

const completion = {
  id: "c1",
  model: "gpt-4o",
  choices: [{ index: 0, message: { role: "assistant", content: "Sunny" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
};

test("the answer is taken out of its envelope", () => {
  for (const name of ["final_result", "orchestration_result"]) {
    const exchange = begin({});
    const answer = { request_id: "r", intermediate_results: {}, [name]: completion };
    assert.deepEqual(bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer)))), completion);
    assert.equal(exchange.outcome().usage.outputTokens, 7n);
  }
  for (const body of ["<html>", "{}", '{"final_result":{}}', '{"error":{"code":400,"message":"no"}}']) {
    assert.throws(() => begin({}).decodeBody(Buffer.from(body)), body);
  }
});

function run(includeUsage: boolean, size: () => number): Uint8Array[] {
  const exchange = begin({ stream: true, stream_options: { include_usage: includeUsage } });
  const payloads = toldInPieces(exchange, fixture("../sap/chat.sse"), size);
  assert.equal(exchange.outcome().usage.outputTokens, 7n);
  return payloads;
}

test("a stream is told under any cut of its bytes", () => {
  const whole = run(true, () => 100_000);
  const chunks = payloadObjects(whole);
  assert.deepEqual(
    chunks
      .flatMap(({ choices }) => (Array.isArray(choices) ? choices : []))
      .map((choice) => Object(choice).delta.content),
    ["Sun", "ny ☀", undefined],
  );
  assert.deepEqual(chunks.at(-1)?.usage, completion.usage);
  assert.equal(payloadObjects(run(false, () => 100_000)).length, 3);
  const random = randomNumbers(9);
  for (let round = 0; round < 40; round += 1) {
    assert.deepEqual(texts(run(true, () => 1 + Math.floor(random() * 40))), texts(whole));
  }
});

test("an error in a stream, a cut, messages and vectors", () => {
  const failing = begin({ stream: true });
  const event = Buffer.from('data: {"error":{"request_id":"r","code":400,"message":"filtered","location":"f"}}\n\n');
  assert.throws(() => failing.decodeEvents([event]), /filtered/);
  const cut = begin({ stream: true });
  cut.decodeEvents(fixtureEvents("../sap/chat.sse").slice(0, 2));
  assert.throws(() => cut.finish());
  const init = sap.classifyError(429, {}, Buffer.from('{"error":{"code":429,"message":"slow down"}}'));
  assert.deepEqual([init.kind, init.message], [UpstreamErrorKind.RATE_LIMITED, "slow down"]);
  const messages = begin({ max_tokens: 9, stream: true }, { operation: Operation.MESSAGES });
  const told = [...messages.decodeEvents(fixtureEvents("../sap/chat.sse")), ...messages.finish()];
  assert.match(texts(told).join(""), /"stop_reason":"end_turn"/);
  const vectors = begin(
    { input: ["a"], dimensions: 8 },
    { operation: Operation.EMBEDDINGS, model: "text-embedding-3" },
  );
  assert.match(vectors.request.url, /\/v2\/embeddings$/);
  const model = { name: "text-embedding-3", version: "latest", params: { dimensions: 8 } };
  assert.deepEqual(bodyObject(vectors.request.body), {
    config: { modules: { embeddings: { model } } },
    input: { text: ["a"] },
  });
  const answer = { final_result: { data: [{ embedding: [1], index: 0 }], usage: { prompt_tokens: 3 } } };
  const { usage } = bodyObject(vectors.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.deepEqual(usage, { prompt_tokens: 3, total_tokens: 3 });
});
