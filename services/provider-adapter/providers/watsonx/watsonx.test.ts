import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
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
import { watsonx } from "./watsonx.ts";

const host = "https://us-south.ml.cloud.ibm.com";
const chat: JsonObject = { model: "group", messages: [{ role: "user", content: "Hi" }] };

function call(body: JsonObject = chat, changes: Partial<ProviderCall> = {}): ProviderCall {
  const settings = { project_id: "p1" };
  return providerCall(body, { model: "ibm/granite", baseUrl: host, settings, credential: new Secret("k"), ...changes });
}

const begin = (body?: JsonObject, changes?: Partial<ProviderCall>) => watsonx.begin(call(body, changes));

test("the address follows task, version and deployment", () => {
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, "/ml/v1/text/chat?version=2024-03-13"],
    [{ stream: true }, "/ml/v1/text/chat_stream?version=2024-03-13"],
    [{ baseUrl: `${host}/ml/v1/text/chat` }, "/ml/v1/text/chat?version=2024-03-13"],
    [
      { baseUrl: "", settings: { project_id: "p", watsonx_region_name: "us-south", api_version: "2025-02-06" } },
      "/ml/v1/text/chat?version=2025-02-06",
    ],
    [{ model: "deployment/my one", settings: {} }, "/ml/v1/deployments/my%20one/text/chat?version=2024-03-13"],
  ];
  for (const [changes, path] of cases) assert.equal(begin(chat, changes).request.url, `${host}${path}`);
});

test("a chat is OpenAI's, but for the model, the account and the choice of tools", () => {
  const sent = (extra: JsonObject, changes: Partial<ProviderCall> = {}) =>
    bodyObject(begin({ ...chat, ...extra }, changes).request.body);
  const { messages } = chat;
  const own = { messages: messages ?? [], model_id: "ibm/granite", project_id: "p1" };
  assert.deepEqual(sent({ time_limit: 9, user: "u", stream_options: { include_usage: true } }), {
    ...own,
    time_limit: 9,
  });
  assert.deepEqual(sent({ tool_choice: "required" }), { ...own, tool_choice_option: "required" });
  const named = { type: "function", function: { name: "f" } };
  assert.deepEqual(sent({ tool_choice: named }), { ...own, tool_choice: named });
  assert.deepEqual(sent({ max_tokens: 50 }, { outputTokenCap: 20 }), { ...own, max_tokens: 20 });
  assert.deepEqual(sent({}, { settings: { space_id: "s" } }), {
    messages: messages ?? [],
    model_id: "ibm/granite",
    space_id: "s",
  });
  assert.deepEqual(sent({}, { model: "deployment/d", settings: {} }), { messages: messages ?? [] });
  assert.throws(() => sent({ prediction: {} }), /prediction/);
  assert.deepEqual(sent({ prediction: {} }, { dropParams: true }), own);
});

test("a key is exchanged at IBM Cloud, a token and a key of Cloud Pak for Data are sent", () => {
  const { tokenGrant, headers } = begin().request;
  assert.equal(headers.authorization, undefined);
  assert.equal(tokenGrant?.url, "https://iam.cloud.ibm.com/identity/token");
  assert.equal(tokenGrant.form.grant_type, "urn:ibm:params:oauth:grant-type:apikey");
  assert.equal(tokenGrant.form.apikey instanceof Secret && tokenGrant.form.apikey.reveal(), "k");
  const authorized = (secrets: JsonObject, header?: string) => {
    const headers: Record<string, string> = header === undefined ? {} : { authorization: header };
    const { request } = begin(chat, { credential: new Secret(JSON.stringify(secrets)), headers });
    return [request.headers.authorization, request.tokenGrant === undefined];
  };
  assert.deepEqual(authorized({ token: "t" }), ["Bearer t", true]);
  assert.deepEqual(authorized({ zen_api_key: "z" }), ["ZenApiKey z", true]);
  assert.deepEqual(authorized({}, "Bearer own"), ["Bearer own", true]);
  assert.throws(() => begin(chat, { credential: undefined }), /WATSONX_APIKEY/);
});

test("what has to be set is named", () => {
  assert.throws(() => begin(chat, { settings: {} }), /WATSONX_PROJECT_ID/);
  assert.throws(() => begin(chat, { baseUrl: "" }), /WATSONX_URL/);
  assert.throws(() => begin(chat, { operation: Operation.RESPONSES }), /does not offer/);
});

test("a stream is OpenAI's, in any cut, and its usage is read", () => {
  const body = fixture("../watsonx/chat.sse");
  const asked = { ...chat, stream_options: { include_usage: true } };
  const withUsage = payloadsOfAnyCut(() => begin(asked, { stream: true }), body);
  assert.match(withUsage, /"usage"/);
  const text = payloadsOfAnyCut(() => begin(chat, { stream: true }), body);
  assert.doesNotMatch(text, /"usage"|^(?:id|event):/m);
  const exchange = begin(chat, { stream: true });
  const objects = payloadObjects([
    ...exchange.decodeEvents(fixtureEvents("../watsonx/chat.sse")),
    ...exchange.finish(),
  ]);
  assert.deepEqual(new Set(objects.map(({ object }) => object)), new Set(["chat.completion.chunk"]));
  const { usage, finishReason } = exchange.outcome();
  assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.estimated, finishReason], [11n, 3n, false, "stop"]);
  const cut = begin(chat, { stream: true });
  cut.decodeEvents(fixtureEvents("../watsonx/chat.sse").slice(0, 2));
  assert.throws(() => cut.finish(), /before the answer was complete/);
});

test("a whole answer gets the members that a client looks for", () => {
  const exchange = begin();
  const message = { role: "assistant", content: "Hello" };
  const answer = {
    id: "chat-1",
    model_id: "ibm/granite",
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
  };
  const told = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.deepEqual(told, { object: "chat.completion", model: "ibm/granite", ...answer });
  assert.equal(exchange.outcome().usage.inputTokens, 5n);
});

test("a Messages client is answered over chat", () => {
  const body = { model: "group", max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };
  const exchange = begin(body, { operation: Operation.MESSAGES, stream: true });
  const events = payloadObjects([...exchange.decodeEvents(fixtureEvents("../watsonx/chat.sse")), ...exchange.finish()]);
  assert.deepEqual([events[0]?.type, events.at(-1)?.type], ["message_start", "message_stop"]);
});

const failed = { errors: [{ code: "model_not_supported", message: "No such model" }], trace: "t", status_code: 404 };

function statusOf(run: () => unknown): [number | undefined, string | undefined] {
  try {
    run();
  } catch (error) {
    const detail = findUpstreamError(ConnectError.from(error));
    return [detail?.httpStatus, detail?.message];
  }
  return [200, undefined];
}

test("IBM's errors are read wherever they come", () => {
  const body = Buffer.from(JSON.stringify(failed));
  const init = watsonx.classifyError(404, {}, body);
  assert.deepEqual(
    [init.httpStatus, init.code, init.message, init.retryable],
    [404, "model_not_supported", "No such model", false],
  );
  assert.deepEqual(
    statusOf(() => begin().decodeBody(body)),
    [404, "No such model"],
  );
  const event = Buffer.from(`event: error\ndata: ${JSON.stringify(failed)}\n\n`);
  assert.deepEqual(
    statusOf(() => begin(chat, { stream: true }).decodeEvents([event])),
    [404, "No such model"],
  );
  assert.equal(statusOf(() => begin().decodeBody(Buffer.from("<html>")))[0], 502);
  const embeddings = begin({ input: "a" }, { operation: Operation.EMBEDDINGS });
  assert.deepEqual(
    statusOf(() => embeddings.decodeBody(body)),
    [404, "No such model"],
  );
});

test("embeddings", () => {
  const exchange = begin({ input: ["a", "b"], truncate_input_tokens: 9 }, { operation: Operation.EMBEDDINGS });
  assert.match(exchange.request.url, /\/ml\/v1\/text\/embeddings\?/);
  const parameters = { truncate_input_tokens: 9 };
  const sent = { model_id: "ibm/granite", project_id: "p1", inputs: ["a", "b"], parameters };
  assert.deepEqual(bodyObject(exchange.request.body), sent);
  const answer = { results: [{ embedding: [1, 2] }, { embedding: [3, 4] }], input_token_count: 2 };
  const told = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.deepEqual(told.usage, { prompt_tokens: 2, total_tokens: 2 });
  assert.deepEqual(told.data, [
    { object: "embedding", index: 0, embedding: [1, 2] },
    { object: "embedding", index: 1, embedding: [3, 4] },
  ]);
  assert.throws(() => begin({ input: [1, 2] }, { operation: Operation.EMBEDDINGS }), /lists of tokens/);
  assert.throws(() => begin({ input: "a", dimensions: 2 }, { operation: Operation.EMBEDDINGS }), /dimensions/);
  const short = { results: [{ embedding: [1, 2] }] };
  assert.equal(statusOf(() => exchange.decodeBody(Buffer.from(JSON.stringify(short))))[0], 502);
});

test("ranks", () => {
  const asked = { query: "q", documents: ["a", { text: "b" }], top_n: 1, return_documents: true };
  const exchange = begin(asked, { operation: Operation.RERANK, callId: "c1" });
  assert.deepEqual(bodyObject(exchange.request.body), {
    model_id: "ibm/granite",
    project_id: "p1",
    query: "q",
    inputs: [{ text: "a" }, { text: "b" }],
    parameters: { return_options: { top_n: 1 } },
  });
  const results = [
    { index: 0, score: -1 },
    { index: 1, score: 3 },
  ];
  const answer = Buffer.from(JSON.stringify({ results, input_token_count: 7 }));
  assert.deepEqual(bodyObject(exchange.decodeBody(answer)), {
    id: "c1",
    results: [{ index: 1, relevance_score: 3, document: { text: "b" } }],
    meta: { billed_units: { total_tokens: 7 }, tokens: { input_tokens: 7 } },
  });
  assert.throws(() => begin({ ...asked, rank_fields: ["x"] }, { operation: Operation.RERANK }), /rank_fields/);
});
