import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { providerCall } from "../../translate/testing/provider-call.ts";
import { cohere } from "./cohere.ts";

const begin = (body: JsonObject, changes: Partial<ProviderCall> = {}) =>
  cohere.begin(providerCall(body, { operation: Operation.RERANK, model: "rerank-v3.5", ...changes }));
const asked = { model: "group", query: "q", documents: ["a", "b"] };

test("a body passes to the version that takes it, with the deployment's model", () => {
  const cases: readonly [body: JsonObject, version: string][] = [
    [asked, "v2"],
    [{ ...asked, top_n: 1, max_tokens_per_doc: 9 }, "v2"],
    [{ ...asked, return_documents: true }, "v1"],
    [{ ...asked, documents: [{ text: "a" }] }, "v1"],
  ];
  for (const [body, version] of cases) {
    const { request } = begin(body);
    assert.equal(request.url, `https://api.cohere.com/${version}/rerank`);
    assert.equal(Buffer.from(request.body).toString(), JSON.stringify({ ...body, model: "rerank-v3.5" }));
  }
  const sent = begin(asked, { defaultParams: { top_n: 3 } }).request.body;
  assert.equal(JSON.parse(Buffer.from(sent).toString()).top_n, 3);
});

test("the answer passes, and its search units are metered", () => {
  const exchange = begin(asked);
  const answer = Buffer.from('{"id":"r-1","results":[],"meta":{"billed_units":{"search_units":2}}}');
  assert.equal(exchange.decodeBody(answer), answer);
  const { usage, responseId } = exchange.outcome();
  assert.deepEqual([usage.toolCalls, usage.inputTokens, usage.estimated, responseId], [2n, 0n, false, "r-1"]);
});

test("what is no answer is an error", () => {
  assert.throws(() => begin(asked).decodeBody(Buffer.from("{}")), /no results/);
  assert.throws(() => begin(asked).decodeBody(Buffer.from('{"message":"no"}')), /no/);
  assert.throws(
    () => cohere.begin({ ...providerCall({}), operation: Operation.RERANK, body: Buffer.from("[") }),
    /JSON/,
  );
});
