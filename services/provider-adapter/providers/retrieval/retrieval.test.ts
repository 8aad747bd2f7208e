import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, Provider, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { jina, voyage } from "./retrieval.ts";

const providers = new Map([voyage, jina].map((provider) => [provider.id, provider]));

function providerOf(id: string): Provider {
  const provider = providers.get(id);
  assert.ok(provider, id);
  return provider;
}

function begin(id: string, operation: Operation, body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  return providerOf(id).begin(providerCall(body, { operation, model: "m-1", callId: "call-1", ...changes }));
}

const { EMBEDDINGS, RERANK } = Operation;
const ranked: JsonObject = { query: "q", documents: ["a", { text: "b" }, { text: "c", title: "d" }] };

const requests: readonly [id: string, operation: Operation, given: JsonObject, url: string, expected: JsonObject][] = [
  [
    "voyage",
    EMBEDDINGS,
    { model: "group", input: "a", dimensions: 256, encoding_format: "float", user: "u", input_type: "query" },
    "https://api.voyageai.com/v1/embeddings",
    { model: "m-1", input: "a", output_dimension: 256, input_type: "query" },
  ],
  [
    "voyage",
    EMBEDDINGS,
    { input: ["a"], encoding_format: "base64" },
    "https://api.voyageai.com/v1/embeddings",
    { model: "m-1", input: ["a"], encoding_format: "base64" },
  ],
  [
    "jina_ai",
    EMBEDDINGS,
    { input: [{ image: "https://x" }], dimensions: 64, encoding_format: "float", task: "text-matching" },
    "https://api.jina.ai/v1/embeddings",
    { model: "m-1", input: [{ image: "https://x" }], dimensions: 64, embedding_type: "float", task: "text-matching" },
  ],
  [
    "voyage",
    RERANK,
    { ...ranked, top_n: 2, return_documents: true },
    "https://api.voyageai.com/v1/rerank",
    { model: "m-1", query: "q", documents: ["a", "b", { text: "c", title: "d" }], top_k: 2, return_documents: true },
  ],
  [
    "jina_ai",
    RERANK,
    { ...ranked, top_n: 2 },
    "https://api.jina.ai/v1/rerank",
    { model: "m-1", query: "q", documents: ["a", "b", { text: "c", title: "d" }], top_n: 2 },
  ],
];

test("requests are sent in the provider's words", () => {
  for (const [id, operation, given, url, expected] of requests) {
    const { request } = begin(id, operation, given);
    assert.equal(request.url, url);
    assert.deepEqual(bodyObject(request.body), expected);
    assert.equal(request.headers.authorization, "Bearer sk-ant-test");
  }
});

test("the address and the key are the deployment's", () => {
  const { url } = begin("voyage", RERANK, ranked, { baseUrl: "https://h.example/v1/rerank" }).request;
  assert.equal(url, "https://h.example/v1/rerank");
  assert.throws(() => begin("jina_ai", RERANK, ranked, { credential: undefined }), /JINA_AI_API_KEY/);
  assert.throws(() => begin("voyage", EMBEDDINGS, { input: "a" }, { credential: undefined }), /VOYAGE_API_KEY/);
});

test("what a provider does not have is refused", () => {
  assert.throws(() => begin("voyage", Operation.CHAT_COMPLETIONS, { messages: [] }), /embeddings and rerank/);
  assert.throws(() => begin("voyage", EMBEDDINGS, { input: [1, 2] }), /lists of tokens/);
  assert.throws(() => begin("voyage", EMBEDDINGS, { input: [[1, 2]] }), /lists of tokens/);
  assert.throws(() => begin("voyage", RERANK, { ...ranked, rank_fields: ["a"] }), /rank_fields/);
  const dropped = begin("voyage", RERANK, { ...ranked, rank_fields: ["a"] }, { dropParams: true });
  assert.equal(bodyObject(dropped.request.body).rank_fields, undefined);
  const allowed = begin("voyage", RERANK, { ...ranked, rank_fields: ["a"] }, { allowedParams: ["rank_fields"] });
  assert.deepEqual(bodyObject(allowed.request.body).rank_fields, ["a"]);
});

test("vectors come back as OpenAI has them", () => {
  const exchange = begin("voyage", EMBEDDINGS, { input: "a" });
  const answer = { object: "list", data: [{ embedding: [1], index: 0 }], model: "m-1", usage: { total_tokens: 3 } };
  assert.deepEqual(bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer)))), {
    object: "list",
    data: [{ object: "embedding", index: 0, embedding: [1] }],
    model: "m-1",
    usage: { prompt_tokens: 3, total_tokens: 3 },
  });
  assert.deepEqual([exchange.outcome().usage.inputTokens, exchange.outcome().usage.estimated], [3n, false]);
});

test("ranks come back as Cohere has them", () => {
  const ranks = [
    { index: 1, relevance_score: 0.9, document: "b" },
    { index: 0, relevance_score: 0.1 },
  ];
  const expected = {
    id: "call-1",
    results: [{ index: 1, relevance_score: 0.9, document: { text: "b" } }, ranks[1]],
    meta: { billed_units: { total_tokens: 12 }, tokens: { input_tokens: 12 } },
  };
  for (const [id, name] of [
    ["voyage", "data"],
    ["jina_ai", "results"],
  ] as const) {
    const exchange = begin(id, RERANK, ranked);
    const answer = { object: "list", [name]: ranks, model: "m-1", usage: { total_tokens: 12 } };
    assert.deepEqual(bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer)))), expected);
    assert.equal(exchange.outcome().usage.inputTokens, 12n);
  }
});

test("an answer that is none is an error", () => {
  const statusOf = (body: string) => {
    try {
      begin("voyage", RERANK, ranked).decodeBody(Buffer.from(body));
    } catch (error) {
      return findUpstreamError(ConnectError.from(error))?.httpStatus;
    }
    return 200;
  };
  assert.deepEqual([statusOf("<html>"), statusOf("{}"), statusOf('{"detail":"no"}')], [502, 502, 500]);
});
