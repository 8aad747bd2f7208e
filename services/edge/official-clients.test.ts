import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { answerOf, chunkEvent, startedEvent, startTestEdge, type TestEdge } from "./testing/scripted-mesh.ts";

let edge: TestEdge;
let openai: OpenAI;
let anthropic: Anthropic;
before(async () => {
  edge = await startTestEdge({ infer });
  openai = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey: "sk-virtual", maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: edge.url, apiKey: "sk-virtual", maxRetries: 0 });
});
after(() => edge.stop());

const messages = [{ role: "user" as const, content: "hi" }];
const choice = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "gpt-4o", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
const event = (name: string, data: object) => `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`;
const message = {
  id: "m",
  type: "message",
  role: "assistant",
  model: "claude",
  content: [],
  usage: { input_tokens: 1, output_tokens: 0 },
};

const streams: Partial<Record<Operation, string[][]>> = {
  [Operation.CHAT_COMPLETIONS]: [
    [choice({ content: "Hel" })],
    [choice({ content: "lo" }), choice({}, "stop")],
    ["data: [DONE]\n\n"],
  ],
  [Operation.MESSAGES]: [
    [event("message_start", { message })],
    [event("content_block_start", { index: 0, content_block: { type: "text", text: "" } })],
    [event("content_block_delta", { index: 0, delta: { type: "text_delta", text: "Hello" } })],
    [event("content_block_stop", { index: 0 })],
    [event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } })],
    [event("message_stop", {})],
  ],
};

const bodies: Partial<Record<Operation, object>> = {
  [Operation.CHAT_COMPLETIONS]: {
    id: "c",
    object: "chat.completion",
    choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "Hello" } }],
  },
  [Operation.EMBEDDINGS]: { object: "list", data: [{ object: "embedding", index: 0, embedding: [0.5, 0.25] }] },
  [Operation.RESPONSES]: {
    id: "r",
    object: "response",
    output: [{ type: "message", content: [{ type: "output_text", text: "Hello" }] }],
  },
  [Operation.MESSAGES]: { ...message, content: [{ type: "text", text: "Hello" }], stop_reason: "end_turn" },
};

async function* infer(request: InferRequest): AsyncIterable<InferResponse> {
  if (request.model === "denied") throw gatewayError(Reason.MODEL_ACCESS_DENIED, "not yours", { param: "model" });
  if (request.model === "breaks") {
    yield startedEvent("text/event-stream");
    yield chunkEvent([choice({ content: "Hel" })]);
    throw gatewayError(Reason.UNAVAILABLE, "broken off");
  }
  const { operation } = request;
  if (request.stream) yield* answerOf("text/event-stream", streams[operation] ?? []);
  else yield* answerOf("application/json", [[JSON.stringify(bodies[operation])]]);
}

test("openai: chat", async () => {
  const { data, response } = await openai.chat.completions.create({ model: "gpt-4o", messages }).withResponse();
  assert.equal(data.choices[0]?.message.content, "Hello");
  assert.equal(response.headers.get("x-litellm-model-id"), "deployment-1");
});

test("openai: chat, streamed", async () => {
  let text = "";
  for await (const chunk of await openai.chat.completions.create({ model: "gpt-4o", messages, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  assert.equal(text, "Hello");
});

test("openai: embeddings, responses, models", async () => {
  const embedding = await openai.embeddings.create({ model: "m", input: "hi", encoding_format: "float" });
  assert.deepEqual(embedding.data[0]?.embedding, [0.5, 0.25]);
  assert.equal((await openai.responses.create({ model: "m", input: "hi" })).output_text, "Hello");
  const ids: string[] = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ["gpt-4o", "mock/echo"]);
  assert.equal((await openai.models.retrieve("mock/echo")).owned_by, "mock");
});

test("openai: errors before and in a stream", async () => {
  await assert.rejects(openai.chat.completions.create({ model: "denied", messages }), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.deepEqual(
      [error.status, error.type, error.param, error.code],
      [401, "key_model_access_denied", "model", "401"],
    );
    return true;
  });
  const stream = await openai.chat.completions.create({ model: "breaks", messages, stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream);
  }, /broken off/);
  const response = await openai.responses.create({ model: "breaks", input: "hi", stream: true });
  await assert.rejects(async () => {
    for await (const _ of response);
  }, /broken off/);
});

test("anthropic: messages, streamed and not", async () => {
  const whole = await anthropic.messages.create({ model: "claude", messages, max_tokens: 9 });
  assert.deepEqual(whole.content, [{ type: "text", text: "Hello" }]);
  const stream = anthropic.messages.stream({ model: "claude", messages, max_tokens: 9 });
  const final = await stream.finalMessage();
  assert.deepEqual([final.content[0]?.type, final.stop_reason, final.usage.output_tokens], ["text", "end_turn", 2]);
  assert.match(edge.inferred.at(-1)?.headers["anthropic-version"] ?? "", /^\d{4}-\d{2}-\d{2}$/);
});

test("anthropic: errors before and in a stream", async () => {
  await assert.rejects(anthropic.messages.create({ model: "denied", messages, max_tokens: 9 }), (error) => {
    assert.ok(error instanceof Anthropic.AuthenticationError);
    assert.match(error.message, /authentication_error/);
    return true;
  });
  const stream = await anthropic.messages.create({ model: "breaks", messages, max_tokens: 9, stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream);
  }, /broken off/);
});
