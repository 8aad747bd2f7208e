import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, Provider, ProviderCall } from "../provider.ts";
import { everyProvider } from "../testing/every-provider.ts";
import { bodyObject, providerCall } from "./testing/provider-call.ts";

const providers = await everyProvider();

function providerOf(id: string): Provider {
  const provider = providers.get(id);
  assert.ok(provider);
  return provider;
}

function begin(id: string, body: JsonObject, changes: Partial<ProviderCall> = {}) {
  const settings = { vertex_project: "p", vertex_location: "us-central1" };
  return providerOf(id).begin(
    providerCall(body, { operation: Operation.EMBED_CONTENT, model: "e-1", settings, ...changes }),
  );
}

const content = (...texts: string[]): JsonObject => ({ parts: texts.map((text) => ({ text })) });
const openAi = (...vectors: number[][]): Buffer => {
  const data = vectors.map((embedding, index) => ({ object: "embedding", index, embedding }));
  return Buffer.from(JSON.stringify({ object: "list", data: data.reverse(), model: "e", usage: { prompt_tokens: 7 } }));
};

test("one text, and a batch of them, over OpenAI's embeddings and back", () => {
  const one = begin("openai", { content: content("a", "b"), outputDimensionality: 8 });
  assert.match(one.request.url, /\/embeddings$/);
  assert.deepEqual(bodyObject(one.request.body), { model: "e-1", input: ["a\nb"], dimensions: 8 });
  const usageMetadata = { promptTokenCount: 7 };
  assert.deepEqual(bodyObject(one.decodeBody(openAi([1, 2]))), { embedding: { values: [1, 2] }, usageMetadata });
  assert.equal(one.outcome().usage.inputTokens, 7n);
  const requests = ["a", "b"].map((text) => ({ model: "models/m", content: content(text), output_dimensionality: 8 }));
  const batch = begin("openai", { requests });
  assert.deepEqual(bodyObject(batch.request.body), { model: "e-1", input: ["a", "b"], dimensions: 8 });
  assert.deepEqual(bodyObject(batch.decodeBody(openAi([1, 2], [3, 4]))), {
    embeddings: [{ values: [1, 2] }, { values: [3, 4] }],
    usageMetadata,
  });
});

test("at AI Studio it passes through, with the model's name", () => {
  const single = begin("gemini", { content: content("a"), taskType: "RETRIEVAL_QUERY", model: "models/group" });
  assert.match(single.request.url, /\/models\/e-1:embedContent$/);
  assert.deepEqual(bodyObject(single.request.body), {
    content: content("a"),
    taskType: "RETRIEVAL_QUERY",
    model: "models/e-1",
  });
  const answer = Buffer.from('{"embedding":{"values":[0.1]},"usageMetadata":{"promptTokenCount":3},"new":1}');
  assert.equal(single.decodeBody(answer), answer);
  assert.equal(single.outcome().usage.inputTokens, 3n);
  const batch = begin("gemini", { requests: [{ model: "models/group", content: content("a") }] });
  assert.match(batch.request.url, /\/models\/e-1:batchEmbedContents$/);
  assert.deepEqual(bodyObject(batch.request.body), { requests: [{ model: "models/e-1", content: content("a") }] });
  batch.decodeBody(Buffer.from('{"embeddings":[{"values":[0.1]}]}'));
  assert.equal(batch.outcome().usage.estimated, true);
  assert.throws(() => batch.decodeBody(Buffer.from("{}")), /without an embedding/);
});

test("Vertex AI embeds by its own method, for the task", () => {
  const exchange = begin("vertex_ai", { content: content("a"), taskType: "RETRIEVAL_QUERY" });
  assert.match(exchange.request.url, /e-1:predict$/);
  assert.deepEqual(bodyObject(exchange.request.body), { instances: [{ content: "a", task_type: "RETRIEVAL_QUERY" }] });
});

test("what cannot be embedded is named", () => {
  const paramOf = (body: JsonObject, changes?: Partial<ProviderCall>) => {
    try {
      begin("openai", body, changes);
      return "taken";
    } catch (error) {
      return findGatewayError(ConnectError.from(error))?.param;
    }
  };
  const image = { inlineData: { mimeType: "image/png", data: "AA==" } };
  const cases: [JsonObject, string][] = [
    [{ content: { parts: [image] } }, "content"],
    [{ content: { parts: [] } }, "content"],
    [{ requests: [] }, "requests"],
    [{ requests: [{ content: content("a") }, { content: { parts: [image] } }] }, "content"],
    [{ content: content("a"), taskType: "CLUSTERING" }, "taskType"],
    [
      { requests: [1, 2].map((outputDimensionality) => ({ content: content("a"), outputDimensionality })) },
      "outputDimensionality",
    ],
  ];
  for (const [body, param] of cases) assert.equal(paramOf(body), param);
  assert.equal(paramOf({ content: content("a"), taskType: "CLUSTERING" }, { dropParams: true }), "taken");
  const exchange = begin("openai", { content: content("a") });
  assert.throws(() => exchange.decodeBody(Buffer.from('{"object":"list","data":[]}')), ConnectError);
});

test("every provider with embeddings takes the dialect", () => {
  const taken = (id: string, operation: Operation, body: JsonObject): boolean => {
    const settings = {
      vertex_project: "p",
      vertex_location: "us-central1",
      api_version: "2024-10-21",
      aws_region_name: "us-east-1",
    };
    try {
      providerOf(id).begin(providerCall(body, { operation, model: "titan-embed-text-v2", settings }));
      return true;
    } catch {
      return false;
    }
  };
  const both = [...providers.keys()].filter((id) => taken(id, Operation.EMBEDDINGS, { model: "m", input: ["a"] }));
  assert.ok(both.length > 20, both.join(" "));
  for (const id of both) assert.ok(taken(id, Operation.EMBED_CONTENT, { content: content("a") }), id);
});
