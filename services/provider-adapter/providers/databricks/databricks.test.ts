import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { payloadsOfAnyCut } from "../../testing/any-cut.ts";
import {
  bodyObject,
  fixture,
  fixtureEvents,
  payloadObjects,
  providerCall,
} from "../../translate/testing/provider-call.ts";
import { databricks } from "./databricks.ts";

const host = "https://dbc-1.cloud.databricks.com";
const chat: JsonObject = { model: "group", messages: [{ role: "user", content: "Hi" }] };

const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}) =>
  databricks.begin(
    providerCall(body, { model: "my-claude", baseUrl: host, credential: new Secret("dapi1"), ...changes }),
  );
const sent = (body: JsonObject, changes?: Partial<ProviderCall>) => bodyObject(begin(body, changes).request.body);

test("the address is a workspace's, or one endpoint's", () => {
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, "/serving-endpoints/chat/completions"],
    [{ baseUrl: `${host}/serving-endpoints` }, "/serving-endpoints/chat/completions"],
    [{ baseUrl: `${host}/serving-endpoints/chat/completions` }, "/serving-endpoints/chat/completions"],
    [{ baseUrl: `${host}/serving-endpoints/x/invocations` }, "/serving-endpoints/x/invocations"],
    [{ operation: Operation.EMBEDDINGS }, "/serving-endpoints/embeddings"],
  ];
  for (const [changes, path] of cases) assert.equal(begin(chat, changes).request.url, `${host}${path}`);
  assert.throws(() => begin(chat, { baseUrl: "" }), /DATABRICKS_API_BASE/);
});

test("a token is sent, a service principal's secret is exchanged at the workspace", () => {
  assert.equal(begin().request.headers.authorization, "Bearer dapi1");
  const credential = new Secret('{"client_secret":"s"}');
  const { request } = begin(chat, { credential, settings: { client_id: "c" } });
  assert.equal(request.headers.authorization, undefined);
  assert.equal(request.tokenGrant?.url, `${host}/oidc/v1/token`);
  assert.deepEqual(request.tokenGrant.form, { grant_type: "client_credentials", scope: "all-apis" });
  assert.equal(request.tokenGrant.basic?.reveal(), Buffer.from("c:s").toString("base64"));
  assert.throws(() => begin(chat, { credential }), /DATABRICKS_CLIENT_ID/);
  assert.throws(() => begin(chat, { credential: undefined }), /DATABRICKS_API_KEY/);
});

test("a stream of Claude's is not asked for its usage, others are", () => {
  const options = { stream_options: { include_usage: true } };
  assert.equal(sent({ ...chat, ...options }, { stream: true }).stream_options, undefined);
  assert.deepEqual(sent(chat, { stream: true, model: "llama" }).stream_options, options.stream_options);
});

test("thinking is asked for by its budget, which fits below the limit", () => {
  const thinking = (body: JsonObject, changes?: Partial<ProviderCall>) => sent({ ...chat, ...body }, changes).thinking;
  const effort = { reasoning_effort: "medium" };
  assert.deepEqual(thinking(effort), { type: "enabled", budget_tokens: 2048 });
  assert.deepEqual(thinking({ ...effort, max_tokens: 1500 }), { type: "enabled", budget_tokens: 1499 });
  assert.equal(thinking({ ...effort, max_tokens: 500 }), undefined);
  assert.equal(thinking(effort, { outputTokenCap: 1000 }), undefined);
  assert.deepEqual(thinking({ ...effort, thinking: { type: "disabled" } }), { type: "disabled" });
  assert.equal(sent({ ...chat, ...effort }, { model: "gpt-oss" }).reasoning_effort, "medium");
  assert.equal(sent({ ...chat, max_completion_tokens: 5 }).max_tokens, 5);
});

const part = { type: "reasoning", summary: [{ type: "summary_text", text: "Hm.", signature: "c2ln" }] };
const block = { type: "thinking", thinking: "Hm.", signature: "c2ln" };

test("Claude's thoughts come as chat clients know them, and go back as they came", () => {
  const message = { role: "assistant", content: [part, { type: "text", text: "4" }] };
  const answer = { id: "m", choices: [{ index: 0, message, finish_reason: "stop" }], usage: { prompt_tokens: 1 } };
  const told = bodyObject(begin().decodeBody(Buffer.from(JSON.stringify(answer))));
  const plain = { role: "assistant", content: "4", reasoning_content: "Hm.", thinking_blocks: [block] };
  assert.deepEqual(told, { ...answer, choices: [{ index: 0, message: plain, finish_reason: "stop" }] });
  assert.deepEqual(sent({ ...chat, messages: [plain] }).messages, [message]);
  assert.deepEqual(sent({ ...chat, messages: [plain] }, { model: "llama" }).messages, [plain]);
});

test("a stream in any cut, with its usage", () => {
  const body = fixture("../databricks/claude.sse");
  const text = payloadsOfAnyCut(() => begin(chat, { stream: true }), body);
  assert.doesNotMatch(text, /"content":\s*\[/);
  const exchange = begin(chat, { stream: true });
  const chunks = payloadObjects([
    ...exchange.decodeEvents(fixtureEvents("../databricks/claude.sse")),
    ...exchange.finish(),
  ]);
  const [first] = chunks;
  assert.match(JSON.stringify(first), /"reasoning_content":"Two and two"/);
  const { usage, finishReason } = exchange.outcome();
  assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.estimated, finishReason], [9n, 12n, false, "stop"]);
});

const messages = { model: "group", max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };

test("a Messages client is answered over chat, or in its own dialect where the workspace has it", () => {
  const asked = { operation: Operation.MESSAGES, stream: true } as const;
  const exchange = begin(messages, asked);
  assert.match(exchange.request.url, /chat\/completions$/);
  const events = payloadObjects([
    ...exchange.decodeEvents(fixtureEvents("../databricks/claude.sse")),
    ...exchange.finish(),
  ]);
  assert.deepEqual([events[0]?.type, events.at(-1)?.type], ["message_start", "message_stop"]);
  assert.match(JSON.stringify(events), /Two and two/);

  const model = "databricks-claude-sonnet-4-5";
  const { request } = begin(messages, { ...asked, model });
  assert.equal(request.url, `${host}/serving-endpoints/anthropic/v1/messages`);
  assert.deepEqual([request.headers.authorization, request.headers["x-api-key"]], ["Bearer dapi1", undefined]);
  assert.deepEqual(bodyObject(request.body), { ...messages, model });
  const principal = { credential: new Secret('{"client_secret":"s"}'), settings: { client_id: "c" } };
  assert.ok(begin(messages, { ...asked, ...principal, model }).request.tokenGrant !== undefined);
});
