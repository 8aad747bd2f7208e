import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixture,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
  toldInPieces,
} from "../../translate/testing/provider-call.ts";
import { textCompletionCodestral } from "./text-completion-codestral.ts";

const begin = (body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange =>
  textCompletionCodestral.begin(
    providerCall(body, { operation: Operation.COMPLETIONS, model: "codestral-latest", callId: "a", ...changes }),
  );
const asked = { prompt: "def add(a, b): return ", suffix: "\n" };

test("a completion with a suffix fills in the middle", () => {
  const { url, body } = begin({ ...asked, seed: 1, stop: "x", max_tokens: 9, min_tokens: 2 }).request;
  assert.equal(url, "https://codestral.mistral.ai/v1/fim/completions");
  assert.deepEqual(bodyObject(body), {
    model: "codestral-latest",
    ...asked,
    stream: false,
    random_seed: 1,
    min_tokens: 2,
    max_tokens: 9,
    stop: ["x"],
  });
  assert.throws(() => begin(asked, { credential: undefined }), /CODESTRAL_API_KEY/);
  assert.throws(() => begin({ ...asked, logit_bias: { 1: 2 } }), /logit_bias/);
  assert.throws(() => begin(asked, { operation: Operation.CHAT_COMPLETIONS }), /codestral has the chat/);
});

test("the answer is a completion's", () => {
  const message = { role: "assistant", content: "a + b" };
  const usage = { prompt_tokens: 8, completion_tokens: 4, total_tokens: 12 };
  const answer = { choices: [{ index: 0, message, finish_reason: "length" }], usage };
  const exchange = begin(asked);
  const told = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.equal(told.object, "text_completion");
  assert.deepEqual(told.choices, [{ index: 0, text: "a + b", finish_reason: "length", logprobs: null }]);
  assert.deepEqual(told.usage, usage);
  for (const body of ["<html>", "{}", '{"choices":[]}'])
    assert.throws(() => begin(asked).decodeBody(Buffer.from(body)));
});

function run(size: () => number): Uint8Array[] {
  const exchange = begin(asked, { stream: true });
  const payloads = toldInPieces(exchange, fixture("../text-completion-codestral/fim.sse"), size);
  assert.equal(exchange.outcome().usage.outputTokens, 7n);
  return payloads;
}

test("a stream is told under any cut of its bytes", () => {
  const whole = run(() => 100_000);
  const told = payloadObjects(whole).flatMap(({ choices }) => (Array.isArray(choices) ? choices : []));
  assert.deepEqual(
    told.map((choice) => Object(choice).text),
    ["a +", " b ☀", ""],
  );
  const random = randomNumbers(3);
  for (let round = 0; round < 30; round += 1) {
    assert.deepEqual(texts(run(() => 1 + Math.floor(random() * 30))), texts(whole));
  }
});
