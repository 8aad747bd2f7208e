import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { bedrock } from "./bedrock.ts";

const asked: JsonObject = {
  model: "m",
  query: "q",
  documents: ["a", { text: "b" }, { title: "c", text: "d" }],
  top_n: 2,
};

function begin(body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  const settings = { aws_region_name: "eu-central-1" };
  const call = { operation: Operation.RERANK, model: "cohere.rerank-v3-5:0", settings, callId: "call-1", ...changes };
  return bedrock.begin(providerCall(body, call));
}

test("a request to the service of agents", () => {
  const { request } = begin({ ...asked, priority: 1 });
  assert.equal(request.url, "https://bedrock-agent-runtime.eu-central-1.amazonaws.com/rerank");
  const inline = (source: JsonObject) => ({ type: "INLINE", inlineDocumentSource: source });
  assert.deepEqual(bodyObject(request.body), {
    queries: [{ type: "TEXT", textQuery: { text: "q" } }],
    rerankingConfiguration: {
      type: "BEDROCK_RERANKING_MODEL",
      bedrockRerankingConfiguration: {
        modelConfiguration: {
          modelArn: "arn:aws:bedrock:eu-central-1::foundation-model/cohere.rerank-v3-5:0",
          additionalModelRequestFields: { priority: 1 },
        },
        numberOfResults: 2,
      },
    },
    sources: [
      inline({ type: "TEXT", textDocument: { text: "a" } }),
      inline({ type: "TEXT", textDocument: { text: "b" } }),
      inline({ type: "JSON", jsonDocument: { title: "c", text: "d" } }),
    ],
  });
  const baseUrl = "https://vpce-1.bedrock-runtime.eu-west-3.vpce.amazonaws.com";
  const own = begin(asked, { baseUrl, settings: {}, model: "arn:aws:bedrock:eu-west-3::foundation-model/x" }).request;
  assert.equal(own.url, "https://vpce-1.bedrock-agent-runtime.eu-west-3.vpce.amazonaws.com/rerank");
  assert.deepEqual(own.awsScope ?? { region: "eu-west-3", service: "bedrock" }, {
    region: "eu-west-3",
    service: "bedrock",
  });
});

test("ranks come back as Cohere has them, and cost a search", () => {
  const answer = Buffer.from(JSON.stringify({ results: [{ index: 1, relevanceScore: 0.9 }] }));
  const exchange = begin({ ...asked, return_documents: true });
  assert.deepEqual(bodyObject(exchange.decodeBody(answer)), {
    id: "call-1",
    results: [{ index: 1, relevance_score: 0.9, document: { text: "b" } }],
    meta: { billed_units: { search_units: 1 } },
  });
  assert.equal(exchange.outcome().usage.toolCalls, 1n);
  assert.deepEqual(bodyObject(begin(asked).decodeBody(answer)).results, [{ index: 1, relevance_score: 0.9 }]);
});

test("what is refused", () => {
  assert.throws(() => begin({ ...asked, rank_fields: ["a"] }), /rank_fields/);
  assert.throws(() => begin({ ...asked, documents: [] }), /documents/);
  assert.throws(() => begin({ ...asked, documents: Array.from({ length: 1001 }, () => "a") }), /documents/);
  assert.throws(() => begin(asked).decodeBody(Buffer.from("{}")), /no results/);
});
