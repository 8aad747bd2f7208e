import { deepStrictEqual, match, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall, texts } from "../../translate/testing/provider-call.ts";
import { vertexAi } from "./vertex-ai.ts";

const settings = { vertex_project: "p", vertex_location: "us-east5" };
const root = "https://us-east5-aiplatform.googleapis.com/v1beta1/projects/p/locations/us-east5";
const hello: JsonObject = { messages: [{ role: "user", content: "Hi" }] };

function begin(model: string, changes: Partial<ProviderCall> = {}, body = hello) {
  return vertexAi.begin(providerCall(body, { model, settings, credential: new Secret("ya29.t"), ...changes }));
}

const addresses: readonly [name: string, path: string, model: string, stream?: boolean][] = [
  [
    "meta/llama-4-scout-17b-16e-instruct-maas",
    "endpoints/openapi/chat/completions",
    "meta/llama-4-scout-17b-16e-instruct-maas",
  ],
  ["deepseek-ai/deepseek-v3.1-maas", "endpoints/openapi/chat/completions", "deepseek-ai/deepseek-v3.1-maas"],
  [
    "qwen/qwen3-coder-480b-a35b-instruct-maas",
    "endpoints/openapi/chat/completions",
    "qwen/qwen3-coder-480b-a35b-instruct-maas",
  ],
  ["openai/gpt-oss-120b-maas", "endpoints/openapi/chat/completions", "openai/gpt-oss-120b-maas"],
  ["openai/5464397967697903616", "endpoints/5464397967697903616/chat/completions", "5464397967697903616"],
  ["mistral-large@2411-001", "publishers/mistralai/models/mistral-large@2411-001:rawPredict", "mistral-large"],
  [
    "mistralai/mistral-medium-3",
    "publishers/mistralai/models/mistral-medium-3:streamRawPredict",
    "mistral-medium-3",
    true,
  ],
  ["jamba-1.5-large@001", "publishers/ai21/models/jamba-1.5-large@001:rawPredict", "jamba-1.5-large"],
];

test("models of other vendors are called where Vertex AI serves them", () => {
  for (const [name, path, model, stream = false] of addresses) {
    const { request } = begin(name, { stream });
    strictEqual(request.url, `${root}/${path}`);
    strictEqual(bodyObject(request.body).model, model);
    strictEqual(request.headers.authorization, "Bearer ya29.t");
  }
  match(begin("google/gemini-2.5-pro").request.url, /:generateContent$/);
});

test("credentials that a token is fetched with leave the header to the authorizer", () => {
  const account = new Secret(JSON.stringify({ type: "service_account", project_id: "own" }));
  const { request } = begin("meta/llama-4", { credential: account, settings: {} });
  match(request.url, /projects\/own\/locations\/us-central1\/endpoints\/openapi/);
  strictEqual(request.headers.authorization, undefined);
  strictEqual(
    begin("meta/llama-4", { credential: new Secret("AIzaKey") }).request.headers["x-goog-api-key"],
    "AIzaKey",
  );
});

test("a vendor's quirks hold, and answers pass through", () => {
  deepStrictEqual(bodyObject(begin("mistral-medium-3", {}, { ...hello, seed: 1 }).request.body).random_seed, 1);
  throws(() => begin("mistral-medium-3", {}, { ...hello, logit_bias: { a: 1 } }), /logit_bias/);
  const answer = {
    id: "c1",
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content: "Hi!" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  };
  const exchange = begin("meta/llama-4");
  deepStrictEqual(bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer)))), answer);
  strictEqual(exchange.outcome().usage.outputTokens, 2n);
});

test("messages come by way of a chat", () => {
  const exchange = begin("meta/llama-4", { operation: Operation.MESSAGES, stream: true }, { ...hello, max_tokens: 9 });
  const chunk = (delta: JsonObject, reason: string | null = null) =>
    Buffer.from(`data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`);
  const payloads = [
    ...exchange.decodeEvents([chunk({ content: "Hi!" }), chunk({}, "stop"), Buffer.from("data: [DONE]\n\n")]),
    ...exchange.finish(),
  ];
  match(texts(payloads).join(""), /event: message_start[\s\S]*"text":"Hi!"[\s\S]*event: message_stop/);
  throws(() => begin("meta/llama-4", { operation: Operation.EMBEDDINGS }), /not this operation/);
});

test("ranks come from Google's ranking API", () => {
  const body = { query: "q", documents: ["a", "b"], top_n: 1, return_documents: true };
  const exchange = begin("semantic-ranker-default@latest", { operation: Operation.RERANK }, body);
  strictEqual(
    exchange.request.url,
    "https://discoveryengine.googleapis.com/v1/projects/p/locations/global/rankingConfigs/default_ranking_config:rank",
  );
  strictEqual(exchange.request.headers.authorization, "Bearer ya29.t");
  deepStrictEqual(bodyObject(exchange.request.body), {
    model: "semantic-ranker-default@latest",
    query: "q",
    records: [
      { id: "0", content: "a" },
      { id: "1", content: "b" },
    ],
    ignoreRecordDetailsInResponse: true,
    topN: 1,
  });
  const answer = Buffer.from('{"records":[{"id":"1","score":0.98}]}');
  deepStrictEqual(bodyObject(exchange.decodeBody(answer)).results, [
    { index: 1, relevance_score: 0.98, document: { text: "b" } },
  ]);
  throws(() => exchange.decodeBody(Buffer.from("{}")), /no ranks/);
});
