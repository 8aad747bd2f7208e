import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall, texts } from "../../translate/testing/provider-call.ts";
import { nlpCloud } from "./nlp-cloud.ts";

const begin = (body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange =>
  nlpCloud.begin(providerCall(body, { model: "dolphin", ...changes }));
const chat = { messages: [{ role: "user", content: "Hi" }] };

test("a chat is a text to be continued", () => {
  const { url, headers, body } = begin({ ...chat, max_tokens: 9, n: 1, stop: "a", temperature: 0.5 }).request;
  assert.equal(url, "https://api.nlpcloud.io/v1/gpu/dolphin/generation");
  assert.equal(headers.authorization, "Token sk-ant-test");
  const { text, ...params } = bodyObject(body);
  assert.match(String(text), /Hi/);
  assert.deepEqual(params, {
    remove_input: true,
    num_return_sequences: 1,
    temperature: 0.5,
    max_length: 9,
    stop_sequences: ["a"],
  });
  assert.throws(() => begin({ ...chat, tools: [{ type: "function" }] }), /tools/);
  assert.throws(() => begin(chat, { credential: undefined }), /NLP_CLOUD_API_KEY/);
});

const answer = Buffer.from('{"generated_text":"Hello!","nb_input_tokens":3,"nb_generated_tokens":2}');

test("a whole answer, a stream made of one, and messages", () => {
  const whole = begin(chat);
  const { choices, usage } = bodyObject(whole.decodeBody(answer));
  assert.equal(Object(Array.isArray(choices) ? choices[0] : {}).message.content, "Hello!");
  assert.deepEqual(usage, { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 });
  assert.equal(whole.outcome().usage.estimated, false);
  const stream = begin(chat, { stream: true });
  const told = texts([...(stream.decodeWhole?.(answer) ?? []), ...stream.finish()]).join("");
  assert.match(told, /"content":"Hello!"[\s\S]*"finish_reason":"stop"[\s\S]*\[DONE\]/);
  const messages = begin({ ...chat, max_tokens: 9 }, { operation: Operation.MESSAGES });
  assert.equal(bodyObject(messages.decodeBody(answer)).stop_reason, "end_turn");
});

test("what is broken is an error", () => {
  for (const body of ["<html>", "{}", '{"error":"no"}']) assert.throws(() => begin(chat).decodeBody(Buffer.from(body)));
  assert.equal(nlpCloud.classifyError(429, {}, Buffer.from('{"detail":"slow down"}')).message, "slow down");
});
