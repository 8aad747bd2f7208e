import { deepStrictEqual, partialDeepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { claudeCodeHeaders, claudeCodeRequests } from "../../translate/testing/claude-code-requests.ts";
import { bodyObject, fixture, fixtureEvents, providerCall, texts } from "../../translate/testing/provider-call.ts";
import { vertexAi } from "./vertex-ai.ts";

const question: JsonObject = { max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };

function begin(changes: Partial<ProviderCall> = {}) {
  const settings = { vertex_project: "p", vertex_location: "us-east5" };
  const call = { model: "claude-sonnet-4-5@20250929", credential: new Secret("ya29.x"), settings };
  return vertexAi.begin(providerCall(question, { ...call, ...changes }));
}

test("the model stands in the address, the version in the body", () => {
  const headers = { "anthropic-version": "2023-06-01", "anthropic-beta": "b-1, context-1m-2025-08-07" };
  for (const operation of [Operation.CHAT_COMPLETIONS, Operation.MESSAGES]) {
    const { request } = begin({ operation, headers });
    strictEqual(
      request.url,
      "https://us-east5-aiplatform.googleapis.com/v1beta1/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict",
    );
    deepStrictEqual(bodyObject(request.body), { ...question, anthropic_version: "vertex-2023-10-16" });
    deepStrictEqual(
      [request.headers.authorization, request.headers["anthropic-beta"], request.headers["x-api-key"]],
      ["Bearer ya29.x", "context-1m-2025-08-07", undefined],
    );
  }
  strictEqual(begin({ stream: true }).request.url.endsWith(":streamRawPredict"), true);
});

test("what Claude Code sends to Anthropic alone is taken out, and nothing else", () => {
  for (const [name, asked] of Object.entries(claudeCodeRequests)) {
    const body = Buffer.from(JSON.stringify(asked));
    const { request } = begin({ operation: Operation.MESSAGES, stream: true, body, headers: claudeCodeHeaders });
    strictEqual(
      request.headers["anthropic-beta"],
      "interleaved-thinking-2025-05-14,context-management-2025-06-27",
      name,
    );
    const { model: _, ...expected } = asked;
    const unscoped: JsonObject = JSON.parse(JSON.stringify(expected).replaceAll(',"scope":"global"', ""));
    deepStrictEqual(bodyObject(request.body), { ...unscoped, anthropic_version: "vertex-2023-10-16" });
  }
  strictEqual(begin({ headers: { "anthropic-beta": "b-1" } }).request.headers["anthropic-beta"], undefined);
});

test("a schema is asked for by a tool, and the tool's input is the answer", () => {
  const schema = { type: "object", properties: { sky: { type: "string" } } };
  const body = { ...question, response_format: { type: "json_schema", json_schema: { name: "s", schema } } };
  const exchange = begin({ body: Buffer.from(JSON.stringify(body)) });
  const { output_config, tools, tool_choice } = bodyObject(exchange.request.body);
  strictEqual(output_config, undefined);
  deepStrictEqual(tool_choice, { type: "tool", name: "json_tool_call" });
  partialDeepStrictEqual(tools, [{ name: "json_tool_call", input_schema: schema }]);
  const block = { type: "tool_use", id: "t", name: "json_tool_call", input: { sky: "blue" } };
  const answer = { type: "message", role: "assistant", content: [block], stop_reason: "tool_use", usage: {} };
  const { choices } = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  partialDeepStrictEqual(choices, [{ message: { content: '{"sky":"blue"}' }, finish_reason: "stop" }]);
});

test("answers are Anthropic's", () => {
  const events = fixtureEvents("answer.chunks.txt");
  const exchange = begin({ operation: Operation.MESSAGES, stream: true });
  deepStrictEqual(texts([...exchange.decodeEvents(events), ...exchange.finish()]), texts(events));
  strictEqual(exchange.outcome().finishReason, "tool_calls");
  strictEqual(bodyObject(begin().decodeBody(fixture("answer.json"))).object, "chat.completion");
});

test("other operations are refused", () => {
  throws(() => begin({ operation: Operation.EMBEDDINGS }), /Claude offers/);
});
