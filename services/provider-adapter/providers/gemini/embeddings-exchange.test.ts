import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { vertexAi } from "../vertex-ai/vertex-ai.ts";
import { gemini } from "./gemini.ts";

function begin(body: JsonObject, provider = gemini, changes: Partial<ProviderCall> = {}) {
  const call = { operation: Operation.EMBEDDINGS, model: "gemini-embedding-001", credential: new Secret("token") };
  return provider.begin(providerCall(body, { ...call, settings: { vertex_project: "p" }, ...changes }));
}

test("AI Studio: several texts in one call", () => {
  const exchange = begin({ input: ["a", "bcdef"], dimensions: 2, task_type: "CLUSTERING" });
  strictEqual(exchange.request.url.endsWith("/models/gemini-embedding-001:batchEmbedContents"), true);
  const request = { model: "models/gemini-embedding-001", taskType: "CLUSTERING", outputDimensionality: 2 };
  deepStrictEqual(bodyObject(exchange.request.body), {
    requests: ["a", "bcdef"].map((text) => ({ ...request, content: { parts: [{ text }] } })),
  });
  const answer = { embeddings: [{ values: [0.1, 0.2] }, { values: [0.3, 0.4] }] };
  deepStrictEqual(bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer)))), {
    object: "list",
    data: [
      { object: "embedding", index: 0, embedding: [0.1, 0.2] },
      { object: "embedding", index: 1, embedding: [0.3, 0.4] },
    ],
    model: "gemini-embedding-001",
    usage: { prompt_tokens: 3, total_tokens: 3 },
  });
  deepStrictEqual([exchange.outcome().usage.inputTokens, exchange.outcome().usage.estimated], [3n, true]);
});

test("Vertex AI: instances and predictions, with their tokens", () => {
  const exchange = begin({ input: "a", dimensions: 2, encoding_format: "base64" }, vertexAi);
  deepStrictEqual(bodyObject(exchange.request.body), {
    instances: [{ content: "a" }],
    parameters: { outputDimensionality: 2 },
  });
  const answer = { predictions: [{ embeddings: { values: [1, -2], statistics: { token_count: 4 } } }] };
  const decoded = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  deepStrictEqual(decoded.data, [{ object: "embedding", index: 0, embedding: "AACAPwAAAMA=" }]);
  deepStrictEqual([exchange.outcome().usage.inputTokens, exchange.outcome().usage.estimated], [4n, false]);
});

test("Vertex AI: Gemini Embedding 2 takes one text", () => {
  const changes = { model: "gemini-embedding-2" };
  const exchange = begin({ input: ["a"], dimensions: 2 }, vertexAi, changes);
  strictEqual(exchange.request.url.endsWith("/models/gemini-embedding-2:embedContent"), true);
  deepStrictEqual(bodyObject(exchange.request.body), { content: { parts: [{ text: "a" }] }, outputDimensionality: 2 });
  const answer = { embedding: { values: [1, -2] }, usageMetadata: { promptTokenCount: 3 } };
  const decoded = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  deepStrictEqual(decoded.data, [{ object: "embedding", index: 0, embedding: [1, -2] }]);
  deepStrictEqual([exchange.outcome().usage.inputTokens, exchange.outcome().usage.estimated], [3n, false]);
  throws(() => begin({ input: ["a", "b"] }, vertexAi, changes), /one text a call/);
});

test("what cannot be embedded is refused, and an answer that is none fails", () => {
  const paramOf = (body: JsonObject) => {
    try {
      begin(body);
    } catch (error) {
      return error instanceof ConnectError ? findGatewayError(error)?.param : undefined;
    }
    return undefined;
  };
  for (const input of [[], [1, 2], [[1]], { a: 1 }]) strictEqual(paramOf({ input }), "input");
  strictEqual(paramOf({ input: "a", nonsense: 1 }), "nonsense");
  for (const body of ["", "{}", '{"embeddings":[]}', '{"embeddings":[{"values":[1]},{"values":[1]}]}']) {
    try {
      begin({ input: "a" }).decodeBody(Buffer.from(body));
      strictEqual(body, "refused");
    } catch (error) {
      strictEqual(error instanceof ConnectError && findUpstreamError(error)?.httpStatus, 502);
    }
  }
});
