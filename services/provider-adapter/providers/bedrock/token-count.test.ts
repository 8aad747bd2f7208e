import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { objectOf, textOf } from "../../translate/json-reading.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { createTokenCount } from "./token-count.ts";

const body: JsonObject = { model: "group", system: "s", messages: [{ role: "user", content: "Hello" }] };

function countFor(model: string) {
  const headers = { "anthropic-beta": "token-efficient-tools-2025-02-19,oauth-2025-04-20" };
  return createTokenCount(providerCall(body, { operation: Operation.MESSAGES, model, headers }));
}

test("Claude's tokens are counted of the body that Invoke would get, by the model itself", () => {
  const count = countFor("invoke/us.anthropic.claude-sonnet-4-20250514-v1:0");
  assert.ok(count);
  assert.match(count.request.url, /\/model\/anthropic\.claude-sonnet-4-20250514-v1%3A0\/count-tokens$/);
  const input = objectOf(objectOf(bodyObject(count.request.body).input).invokeModel);
  assert.deepEqual(bodyObject(Buffer.from(textOf(input.body), "base64")), {
    system: "s",
    messages: body.messages,
    max_tokens: 1024,
    anthropic_beta: ["token-efficient-tools-2025-02-19"],
    anthropic_version: "bedrock-2023-05-31",
  });
  assert.equal(count.read(Buffer.from('{"inputTokens":18}')), 18);
  assert.throws(() => count.read(Buffer.from("{}")), /no count/);
});

test("other models are not counted", () => {
  for (const model of ["amazon.nova-lite-v1:0", "arn:aws:bedrock:us-east-1:1:application-inference-profile/claude"]) {
    assert.equal(countFor(model), undefined);
  }
});
