import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { huggingface } from "./huggingface.ts";

const router = "https://router.huggingface.co";
const own = "https://x.endpoints.huggingface.cloud";
const chat: JsonObject = { model: "group", messages: [{ role: "user", content: "Hi" }] };
const embeddings = { operation: Operation.EMBEDDINGS } as const;
const rerank = { operation: Operation.RERANK } as const;

const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}) =>
  huggingface.begin(providerCall(body, { model: "org/m", callId: "c1", ...changes }));
const bytes = (value: JsonValue) => Buffer.from(JSON.stringify(value));

test("the address is the router's, or an endpoint's of one's own", () => {
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, `${router}/v1/chat/completions`],
    [{ baseUrl: own }, `${own}/v1/chat/completions`],
    [{ baseUrl: `${own}/v1` }, `${own}/v1/chat/completions`],
    [embeddings, `${router}/hf-inference/models/org/m/pipeline/feature-extraction`],
    [{ ...embeddings, model: "hf-inference/org/m" }, `${router}/hf-inference/models/org/m/pipeline/feature-extraction`],
    [{ ...embeddings, baseUrl: own }, own],
    [{ ...embeddings, baseUrl: `${own}/v1` }, own],
    [{ ...rerank, baseUrl: own }, `${own}/rerank`],
  ];
  const body = { ...chat, input: "a", query: "q", documents: ["a"] };
  for (const [changes, url] of cases) assert.equal(begin(body, changes).request.url, url);
});

test("a provider before the model's name goes behind it", () => {
  const cases = { "together/org/m": "org/m:together", "org/m:groq": "org/m:groq", "org/m": "org/m" };
  for (const [model, sent] of Object.entries(cases)) {
    assert.equal(bodyObject(begin(chat, { model }).request.body).model, sent);
  }
});

test("a key is needed at the router alone", () => {
  assert.throws(() => begin(chat, { credential: undefined }), /HF_TOKEN/);
  assert.throws(() => begin({ input: "a" }, { ...embeddings, credential: undefined }), /HF_TOKEN/);
  const { headers } = begin({ input: "a" }, { ...embeddings, baseUrl: own, credential: undefined }).request;
  assert.equal(headers.authorization, undefined);
});

test("vectors come alone, in a list, or for each token", () => {
  const cases: readonly [JsonObject["input"], JsonValue, number[][]][] = [
    [
      ["a", "b"],
      [
        [1, 2],
        [3, 4],
      ],
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ["a", [1, 2], [[1, 2]]],
    [
      ["a"],
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
      [[1, 2]],
    ],
  ];
  for (const [input, answer, vectors] of cases) {
    const exchange = begin({ input: input ?? "", dimensions: 2, truncate: true }, embeddings);
    const inputs = Array.isArray(input) ? input : [input ?? ""];
    assert.deepEqual(bodyObject(exchange.request.body), { dimensions: 2, truncate: true, inputs });
    const { data, usage } = bodyObject(exchange.decodeBody(bytes(answer)));
    assert.deepEqual(
      data,
      vectors.map((embedding, index) => ({ object: "embedding", index, embedding })),
    );
    assert.deepEqual(usage, { prompt_tokens: inputs.length, total_tokens: inputs.length });
    assert.equal(exchange.outcome().usage.estimated, true);
  }
});

test("ranks", () => {
  const exchange = begin({ query: "q", documents: ["a", "b"], top_n: 1, truncate: true }, { ...rerank, baseUrl: own });
  assert.deepEqual(bodyObject(exchange.request.body), { truncate: true, query: "q", texts: ["a", "b"] });
  const answer = [
    { index: 1, score: 0.9 },
    { index: 0, score: 0.1 },
  ];
  assert.deepEqual(bodyObject(exchange.decodeBody(bytes(answer))), {
    id: "c1",
    results: [{ index: 1, relevance_score: 0.9 }],
    meta: {},
  });
});

test("an answer that is none is an error", () => {
  const statusOf = (body: string) => {
    try {
      begin({ input: "a" }, embeddings).decodeBody(Buffer.from(body));
    } catch (error) {
      return findUpstreamError(ConnectError.from(error))?.httpStatus;
    }
    return 200;
  };
  assert.deepEqual(["<html>", "{}", '{"error":"loading"}', "[]", "[[]]"].map(statusOf), [502, 502, 500, 502, 502]);
});
