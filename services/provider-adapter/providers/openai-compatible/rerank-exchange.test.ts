import assert from "node:assert/strict";
import { test } from "node:test";
import { openAiRows } from "#catalog/catalog.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { createOpenAiCompatibleProvider } from "./provider.ts";

/** Requests and answers are made by hand after the providers' documentation. */
function begin(id: string, body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  const row = openAiRows().find((candidate) => candidate.id === id);
  assert.ok(row, id);
  const call = { operation: Operation.RERANK, model: "vendor/ranker-1", callId: "call-1", ...changes };
  return createOpenAiCompatibleProvider(row).begin(providerCall(body, call));
}

const asked: JsonObject = { model: "group", query: "q", documents: ["a", { text: "b" }], top_n: 1 };

const requests: readonly [id: string, changes: Partial<ProviderCall>, url: string, body: JsonObject][] = [
  ["together_ai", {}, "https://api.together.xyz/v1/rerank", { ...asked, model: "vendor/ranker-1" }],
  ["hosted_vllm", { baseUrl: "http://h.test/v1" }, "http://h.test/v1/rerank", { ...asked, model: "vendor/ranker-1" }],
  [
    "qwencloud",
    {},
    "https://dashscope-intl.aliyuncs.com/compatible-api/v1/reranks",
    { ...asked, model: "vendor/ranker-1" },
  ],
  [
    "deepinfra",
    {},
    "https://api.deepinfra.com/v1/inference/vendor/ranker-1",
    { queries: ["q"], documents: ["a", "b"] },
  ],
  [
    "nvidia_nim",
    {},
    "https://ai.api.nvidia.com/v1/retrieval/vendor/ranker-1/reranking",
    { model: "vendor/ranker-1", query: { text: "q" }, passages: [{ text: "a" }, { text: "b" }] },
  ],
  [
    "nvidia_nim",
    { baseUrl: "http://nim.test/v1" },
    "http://nim.test/v1/ranking",
    { model: "vendor/ranker-1", query: { text: "q" }, passages: [{ text: "a" }, { text: "b" }] },
  ],
];

test("a rerank call goes where the row says, in the provider's words", () => {
  for (const [id, changes, url, body] of requests) {
    const { request } = begin(id, asked, changes);
    assert.equal(request.url, url);
    assert.deepEqual(bodyObject(request.body), body);
    assert.equal(request.headers.authorization, "Bearer sk-ant-test");
  }
});

const ranks: JsonObject[] = [
  { index: 1, relevance_score: 0.9, document: { text: "b" } },
  { index: 0, relevance_score: 0.1 },
];
const answers: readonly [id: string, answer: JsonObject, results: JsonObject[], tokens: bigint][] = [
  ["together_ai", { id: "r1", results: ranks, usage: { total_tokens: 7 } }, ranks, 7n],
  ["fireworks_ai", { data: ranks, usage: { prompt_tokens: 8 } }, ranks, 8n],
  ["deepinfra", { scores: [0.1, 0.9], input_tokens: 9 }, [{ index: 1, relevance_score: 0.9 }], 9n],
  [
    "nvidia_nim",
    { rankings: [{ index: 0, logit: -1.5 }], usage: { prompt_tokens: 3, total_tokens: 4 } },
    [{ index: 0, relevance_score: -1.5 }],
    4n,
  ],
];

test("ranks come back as Cohere has them, as many as were asked for", () => {
  for (const [id, answer, results, tokens] of answers) {
    const exchange = begin(id, asked);
    const told = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
    assert.deepEqual([told.id, told.results], [answer.id ?? "call-1", results], id);
    assert.deepEqual([exchange.outcome().usage.inputTokens, exchange.outcome().usage.estimated], [tokens, false], id);
  }
});

test("what a provider cannot rank by is refused, and dropped where that is allowed", () => {
  const body = { ...asked, rank_fields: ["title"] };
  assert.throws(() => begin("deepinfra", body), /rank_fields/);
  assert.equal(bodyObject(begin("deepinfra", body, { dropParams: true }).request.body).rank_fields, undefined);
  assert.throws(() => begin("nvidia_nim", { ...asked, documents: [{ title: "a" }] }), /ranks texts/);
  assert.throws(() => begin("deepinfra", asked, { model: "../../admin" }), /cannot be part of an address/);
  assert.throws(() => begin("mistral", asked), /does not offer/);
});

test("an answer that is none is an error", () => {
  for (const answer of ["<html>", "{}", '{"error":{"message":"no"}}', '{"detail":"no"}']) {
    assert.throws(() => begin("together_ai", asked).decodeBody(Buffer.from(answer)), answer);
  }
});

test("a chat model with a path of its own is called there", () => {
  const chat = { operation: Operation.CHAT_COMPLETIONS, baseUrl: "http://rag.test" };
  const { request } = begin("ragflow", { messages: [] }, { ...chat, model: "agent/a1b2/gpt-4o" });
  assert.equal(request.url, "http://rag.test/api/v1/agents_openai/a1b2/chat/completions");
  assert.equal(bodyObject(request.body).model, "gpt-4o");
  const elsewhere = begin("ragflow", { messages: [] }, { ...chat, model: "chat/../x" }).request;
  assert.equal(elsewhere.url, "http://rag.test/chat/completions");
});
