import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { bodyObject, providerCall } from "../../translate/testing/provider-call.ts";
import { snowflake } from "./snowflake.ts";

const host = "https://org-acc.snowflakecomputing.com/api/v2";
const chat: JsonObject = { model: "group", messages: [{ role: "user", content: "Hi" }] };
const embeddings = { operation: Operation.EMBEDDINGS } as const;
const kindHeader = "x-snowflake-authorization-token-type";

const begin = (body: JsonObject = chat, changes: Partial<ProviderCall> = {}) =>
  snowflake.begin(providerCall(body, { model: "m", settings: { account_id: "org-acc" }, ...changes }));

test("the address is the account's, whatever endpoint the user names", () => {
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, `${host}/cortex/v1/chat/completions`],
    [{ baseUrl: `${host}/cortex/inference:complete` }, `${host}/cortex/v1/chat/completions`],
    [{ baseUrl: `${host}/cortex/v1` }, `${host}/cortex/v1/chat/completions`],
    [embeddings, `${host}/cortex/inference:embed`],
  ];
  for (const [changes, url] of cases) assert.equal(begin({ ...chat, input: "a" }, changes).request.url, url);
  assert.throws(() => begin(chat, { settings: {} }), /SNOWFLAKE_ACCOUNT_ID/);
  assert.throws(() => begin(chat, { credential: undefined }), /SNOWFLAKE_JWT/);
});

test("a programmatic access token is told by its mark", () => {
  const headersOf = (key: string) => {
    const { headers } = begin(chat, { credential: new Secret(key) }).request;
    return [headers.authorization, headers[kindHeader]];
  };
  assert.deepEqual(headersOf("pat/abc"), ["Bearer abc", "PROGRAMMATIC_ACCESS_TOKEN"]);
  assert.deepEqual(headersOf("a.b.c"), ["Bearer a.b.c", undefined]);
});

test("embeddings", () => {
  const exchange = begin({ input: ["a", "b"] }, embeddings);
  assert.deepEqual(bodyObject(exchange.request.body), { model: "m", text: ["a", "b"] });
  const data = [
    { index: 0, embedding: [[1, 2]] },
    { index: 1, embedding: [[3, 4]] },
  ];
  const answer = { data, model: "m", usage: { total_tokens: 2 } };
  const told = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.deepEqual(told.data, [
    { object: "embedding", index: 0, embedding: [1, 2] },
    { object: "embedding", index: 1, embedding: [3, 4] },
  ]);
  assert.deepEqual(told.usage, { prompt_tokens: 2, total_tokens: 2 });
});

test("Claude speaks Anthropic's dialect, other models answer over chat", () => {
  const messages = { model: "group", max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };
  const asked = { operation: Operation.MESSAGES, credential: new Secret("pat/abc") } as const;
  const { request } = begin(messages, { ...asked, model: "claude-sonnet-4-5" });
  assert.equal(request.url, `${host}/cortex/v1/messages`);
  assert.deepEqual(
    [request.headers.authorization, request.headers["x-api-key"], request.headers[kindHeader]],
    ["Bearer abc", undefined, "PROGRAMMATIC_ACCESS_TOKEN"],
  );
  assert.deepEqual(bodyObject(request.body), { ...messages, model: "claude-sonnet-4-5" });
  assert.match(begin(messages, asked).request.url, /chat\/completions$/);
});
