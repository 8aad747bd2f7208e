import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { cohere } from "./cohere.ts";

const begin = (body: JsonObject) =>
  cohere.begin(providerCall(body, { operation: Operation.EMBEDDINGS, model: "embed-v4.0" }));
const answer = {
  id: "e-1",
  embeddings: {
    float: [
      [0.5, -2],
      [1, 0],
    ],
  },
  meta: { billed_units: { input_tokens: 7, image_tokens: 1 } },
};

test("texts and images are sent for what they are for", () => {
  const cases: readonly [given: JsonObject, expected: JsonObject][] = [
    [{ input: "a" }, { input_type: "search_document", texts: ["a"] }],
    [
      { input: ["a", "b"], dimensions: 256 },
      { input_type: "search_document", texts: ["a", "b"], output_dimension: 256 },
    ],
    [
      { input: "a", input_type: "search_query", truncate: "END" },
      { input_type: "search_query", texts: ["a"], truncate: "END" },
    ],
    [{ input: "data:image/png;base64,AA" }, { input_type: "image", images: ["data:image/png;base64,AA"] }],
  ];
  for (const [given, expected] of cases) {
    const { url, body } = begin({ model: "group", ...given }).request;
    assert.equal(url, "https://api.cohere.com/v2/embed");
    assert.deepEqual(bodyObject(body), { model: "embed-v4.0", embedding_types: ["float"], ...expected });
  }
  assert.throws(() => begin({ input: [1, 2] }), /not lists of tokens/);
  assert.throws(() => begin({ input: ["a", "data:image/png;base64,AA"] }), /either/);
});

test("vectors come back as OpenAI has them", () => {
  const exchange = begin({ input: ["a", "b"] });
  assert.deepEqual(bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer)))), {
    object: "list",
    data: [
      { object: "embedding", index: 0, embedding: [0.5, -2] },
      { object: "embedding", index: 1, embedding: [1, 0] },
    ],
    model: "embed-v4.0",
    usage: { prompt_tokens: 8, total_tokens: 8 },
  });
  const { usage, responseId } = exchange.outcome();
  assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.estimated, responseId], [8n, 0n, false, "e-1"]);
});

test("base64 holds 32-bit floats", () => {
  const exchange = begin({ input: "a", encoding_format: "base64" });
  const { data } = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  const [first] = Array.isArray(data) ? data : [];
  const bytes = Buffer.from(String(Object(first).embedding), "base64");
  assert.deepEqual([bytes.length, bytes.readFloatLE(0), bytes.readFloatLE(4)], [8, 0.5, -2]);
});

test("an answer without vectors is an error", () => {
  assert.throws(() => begin({ input: "a" }).decodeBody(Buffer.from("{}")), /no embeddings/);
  assert.throws(() => begin({ input: "a" }).decodeBody(Buffer.from('{"message":"no"}')), /no/);
});
