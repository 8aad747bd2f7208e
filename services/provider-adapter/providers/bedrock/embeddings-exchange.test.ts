import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { objectsOf } from "../../translate/json-reading.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { bedrock } from "./bedrock.ts";

function begin(model: string, body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  return bedrock.begin(providerCall(body, { operation: Operation.EMBEDDINGS, model, ...changes }));
}

const image = "data:image/png;base64,aW1n";
const titan = "amazon.titan-embed-text-v2:0";

const requests: readonly [model: string, given: JsonObject, expected: JsonObject][] = [
  [
    titan,
    { input: "a", dimensions: 256, normalize: true, user: "u" },
    { inputText: "a", dimensions: 256, normalize: true },
  ],
  ["amazon.titan-embed-text-v1", { input: ["a"], encoding_format: "float" }, { inputText: "a" }],
  [
    "amazon.titan-embed-image-v1",
    { input: image, dimensions: 384 },
    { inputImage: "aW1n", embeddingConfig: { outputEmbeddingLength: 384 } },
  ],
  ["amazon.titan-embed-image-v1", { input: "a" }, { inputText: "a" }],
  [
    "amazon.nova-2-multimodal-embeddings-v1:0",
    { input: "a", dimensions: 1024 },
    {
      taskType: "SINGLE_EMBEDDING",
      singleEmbeddingParams: {
        embeddingPurpose: "GENERIC_INDEX",
        embeddingDimension: 1024,
        text: { truncationMode: "END", value: "a" },
      },
    },
  ],
  [
    "cohere.embed-english-v3",
    { input: ["a", "b"], input_type: "search_query", truncate: "END" },
    { input_type: "search_query", embedding_types: ["float"], texts: ["a", "b"], truncate: "END" },
  ],
  [
    "us.cohere.embed-v4:0",
    { input: [image], dimensions: 512 },
    { input_type: "image", embedding_types: ["float"], images: [image], output_dimension: 512 },
  ],
];

test("requests in the words of each family", () => {
  for (const [model, given, expected] of requests) {
    const { request, several } = begin(model, given);
    assert.ok(request.url.endsWith(`/model/${encodeURIComponent(model)}/invoke`), request.url);
    assert.deepEqual([bodyObject(request.body), several], [expected, undefined]);
  }
});

test("vectors come back as OpenAI has them", () => {
  const answers: readonly [model: string, answer: JsonObject, tokens: number, estimated: boolean][] = [
    [titan, { embedding: [1, 2], inputTextTokenCount: 5 }, 5, false],
    [titan, { embeddingsByType: { float: [1, 2] } }, 1, true],
    [
      "amazon.nova-2-multimodal-embeddings-v1:0",
      { embeddings: [{ embeddingType: "TEXT", embedding: [1, 2] }] },
      1,
      true,
    ],
    ["cohere.embed-english-v3", { embeddings: [[1, 2]], response_type: "embeddings_floats" }, 1, true],
    ["cohere.embed-v4:0", { embeddings: { float: [[1, 2]] } }, 1, true],
  ];
  for (const [model, answer, tokens, estimated] of answers) {
    const exchange = begin(model, { input: "a" });
    const told = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
    assert.deepEqual(told.data, [{ object: "embedding", index: 0, embedding: [1, 2] }], model);
    assert.deepEqual(told.usage, { prompt_tokens: tokens, total_tokens: tokens });
    const { usage } = exchange.outcome();
    assert.deepEqual([usage.inputTokens, usage.estimated], [BigInt(tokens), estimated]);
  }
  const packed = begin("cohere.embed-english-v3", { input: "a", encoding_format: "base64" });
  const headers = { "x-amzn-bedrock-input-token-count": "7" };
  const [item] = objectsOf(bodyObject(packed.decodeBody(Buffer.from('{"embeddings":[[1,2]]}'), headers)).data);
  assert.equal(item?.embedding, "AACAPwAAAEA=");
  assert.equal(packed.outcome().usage.inputTokens, 7n);
});

test("more inputs than a request takes are several requests, and one answer", () => {
  const exchange = begin(titan, { input: ["a", "b", "c"] });
  assert.deepEqual(
    exchange.several?.requests.map(({ body }) => bodyObject(body)),
    [{ inputText: "a" }, { inputText: "b" }, { inputText: "c" }],
  );
  const answers = [1, 2, 3].map((n) => ({
    body: Buffer.from(JSON.stringify({ embedding: [n], inputTextTokenCount: n })),
    headers: {},
  }));
  const told = bodyObject(exchange.several?.decode(answers) ?? new Uint8Array());
  assert.deepEqual(
    objectsOf(told.data).map(({ index, embedding }) => [index, embedding]),
    [
      [0, [1]],
      [1, [2]],
      [2, [3]],
    ],
  );
  assert.equal(exchange.outcome().usage.inputTokens, 6n);
  const texts = Array.from({ length: 200 }, (_, n) => `t${n}`);
  const sizes = begin("cohere.embed-english-v3", { input: texts }).several?.requests.map(
    ({ body }) => bodyObject(body).texts,
  );
  assert.deepEqual(
    sizes?.map((list) => Array.isArray(list) && list.length),
    [96, 96, 8],
  );
});

test("what cannot be embedded, and what is no answer", () => {
  const cases: readonly [string, JsonObject, RegExp][] = [
    [titan, { input: [[1, 2]] }, /lists of tokens/],
    [titan, { input: [] }, /embeds texts/],
    [titan, { input: Array.from({ length: 2049 }, () => "a") }, /2048/],
    ["amazon.titan-embed-text-v1", { input: "a", dimensions: 5 }, /one size/],
    ["cohere.embed-english-v3", { input: "a", dimensions: 5 }, /one size/],
    ["cohere.embed-v4:0", { input: ["a", image] }, /either texts or images/],
    ["anthropic.claude-v2", { input: "a" }, /no model of Bedrock's that embeds/],
  ];
  for (const [model, body, message] of cases) assert.throws(() => begin(model, body), message);
  for (const answer of ["{}", "<html>", '{"embedding":[]}']) {
    try {
      begin(titan, { input: "a" }).decodeBody(Buffer.from(answer));
      assert.fail(answer);
    } catch (error) {
      assert.equal(findUpstreamError(ConnectError.from(error))?.httpStatus, 502, answer);
    }
  }
});
