import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixtureEvents,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { azure } from "./azure.ts";

const chat = { model: "group", messages: [{ role: "user", content: "Hi" }] };
const resource = "https://one.openai.azure.com";

function call(changes: Partial<ProviderCall> = {}, body: Parameters<typeof providerCall>[0] = chat): ProviderCall {
  return providerCall(body, { model: "my gpt", baseUrl: resource, credential: new Secret("key"), ...changes });
}

const version = (api_version: string): Partial<ProviderCall> => ({ settings: { api_version } });
const responses = { operation: Operation.RESPONSES } as const;
const embeddings = { operation: Operation.EMBEDDINGS } as const;

const addresses: readonly [name: string, changes: Partial<ProviderCall>, url: string][] = [
  ["no version", {}, "/openai/deployments/my%20gpt/chat/completions?api-version=2025-02-01-preview"],
  ["a version", version("2024-10-21"), "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"],
  ["v1", version("v1"), "/openai/v1/chat/completions"],
  ["latest", version("latest"), "/openai/v1/chat/completions"],
  ["preview", version("preview"), "/openai/v1/chat/completions?api-version=preview"],
  ["an address of v1", { baseUrl: `${resource}/openai/v1` }, "/openai/v1/chat/completions"],
  ["an address with openai", { baseUrl: `${resource}/openai`, ...version("v1") }, "/openai/v1/chat/completions"],
  [
    "a deployment's own address",
    { baseUrl: `${resource}/openai/deployments/other` },
    "/openai/deployments/other/chat/completions?api-version=2025-02-01-preview",
  ],
  [
    "the whole address",
    { baseUrl: `${resource}//openai/deployments/other/chat/completions?api-version=2024-06-01` },
    "/openai/deployments/other/chat/completions?api-version=2024-06-01",
  ],
  ["embeddings", embeddings, "/openai/deployments/my%20gpt/embeddings?api-version=2025-02-01-preview"],
  ["responses", { ...responses, ...version("2025-04-01-preview") }, "/openai/responses?api-version=2025-04-01-preview"],
  ["responses before their time", { ...responses, ...version("2024-10-21") }, "/openai/v1/responses"],
  ["responses without a version", responses, "/openai/v1/responses"],
  [
    "responses of a deployment's address",
    { ...responses, baseUrl: `${resource}/openai/deployments/other`, ...version("2025-04-01-preview") },
    "/openai/responses?api-version=2025-04-01-preview",
  ],
  [
    "a series",
    { model: "o_series/think", ...version("2024-12-01-preview") },
    "/openai/deployments/think/chat/completions?api-version=2024-12-01-preview",
  ],
];

test("the address follows the version and what the user gave", () => {
  for (const [name, changes, url] of addresses) {
    assert.equal(azure.begin(call(changes)).request.url, `${resource}${url}`, name);
  }
});

test("a key goes into api-key, a token into authorization, and one of them has to be there", () => {
  const cases: readonly [Partial<ProviderCall>, string | undefined, string | undefined][] = [
    [{}, "key", undefined],
    [{ credential: new Secret('{"azure_ad_token":"t0"}') }, undefined, "Bearer t0"],
    [{ credential: new Secret('{"api_key":"k","azure_ad_token":"t0"}') }, "k", undefined],
    [{ credential: undefined, headers: { authorization: "Bearer own" } }, undefined, "Bearer own"],
    [
      { credential: new Secret('{"client_secret":"s"}'), settings: { tenant_id: "t", client_id: "c" } },
      undefined,
      undefined,
    ],
    [{ headers: { "api-key": "deployment's" } }, "deployment's", undefined],
  ];
  for (const [changes, key, authorization] of cases) {
    const { headers } = azure.begin(call(changes)).request;
    assert.deepEqual([headers["api-key"], headers.authorization], [key, authorization]);
  }
  const refused = (credential: Secret | undefined) => {
    try {
      azure.begin(call({ credential }));
    } catch (error) {
      const detail = findUpstreamError(ConnectError.from(error));
      return [detail?.httpStatus, detail?.message];
    }
    return [];
  };
  assert.deepEqual(refused(undefined), [
    401,
    "no key for azure: set AZURE_API_KEY, or azure_ad_token, or tenant_id, client_id and client_secret",
  ]);
  assert.equal(refused(new Secret('{"azure_ad_token":"oidc/google/x"}'))[0], 401);
});

test("what cannot be sent is refused", () => {
  assert.throws(() => azure.begin(call({ baseUrl: "" })), /AZURE_API_BASE/);
  assert.throws(() => azure.begin(call({ baseUrl: "nowhere" })), /no address/);
  assert.throws(() => azure.begin(call({ operation: Operation.UNSPECIFIED })), /does not offer/);
});

test("the body is the client's, but for the model, the usage of a stream and the limit of a reasoning model", () => {
  const sent = (changes: Partial<ProviderCall>, extra = {}) =>
    bodyObject(azure.begin(call(changes, { ...chat, ...extra })).request.body);
  assert.deepEqual(sent({}, { x: 1 }), { ...chat, model: "my gpt", x: 1 });
  assert.deepEqual(sent({ stream: true }), { ...chat, model: "my gpt", stream_options: { include_usage: true } });
  assert.deepEqual(sent({ stream: true, ...version("2023-07-01-preview") }), { ...chat, model: "my gpt" });
  const limited = { ...chat, max_completion_tokens: 5 };
  assert.deepEqual(sent({ model: "o3" }, { max_tokens: 5 }), { ...limited, model: "o3" });
  assert.deepEqual(sent({ model: "gpt5_series/x" }, { max_tokens: 5 }), { ...limited, model: "x" });
});

const filtered = {
  message: "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
  type: null,
  param: "prompt",
  code: "content_filter",
  status: 400,
  innererror: { code: "ResponsibleAIPolicyViolation", content_filter_result: { hate: { filtered: true } } },
};

test("failures are told apart", () => {
  const kind = UpstreamErrorKind;
  const cases: readonly [status: number, error: object, kind: UpstreamErrorKind, retryable: boolean][] = [
    [400, filtered, kind.CONTENT_POLICY, false],
    [400, { ...filtered, code: "invalid", message: "no" }, kind.CONTENT_POLICY, false],
    [400, { code: "context_length_exceeded", message: "maximum context length" }, kind.CONTEXT_WINDOW, false],
    [400, { code: "BadRequest", message: "no" }, kind.BAD_REQUEST, false],
    [401, { code: "401", message: "Access denied due to invalid subscription key" }, kind.AUTHENTICATION, false],
    [404, { code: "DeploymentNotFound", message: "no" }, kind.NOT_FOUND, false],
    [429, { code: "429", message: "Requests have exceeded call rate limit" }, kind.RATE_LIMITED, true],
    [500, { code: "InternalServerError", message: "no" }, kind.INTERNAL, true],
  ];
  for (const [status, error, expected, retryable] of cases) {
    const init = azure.classifyError(status, { "retry-after-ms": "7" }, Buffer.from(JSON.stringify({ error })));
    assert.deepEqual(
      [init.kind, init.httpStatus, init.retryable, init.provider, init.retryAfterMs],
      [expected, status, retryable, "azure", 7],
    );
  }
});

const chunks = fixtureEvents("../azure/chat.sse");

test("a stream with filter results passes, in any grouping, and its usage is read", () => {
  const random = randomNumbers(7);
  for (let round = 0; round < 50; round += 1) {
    const exchange = azure.begin(call({ stream: true }));
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < chunks.length; ) {
      const size = 1 + Math.floor(random() * 4);
      payloads.push(...exchange.decodeEvents(chunks.slice(at, at + size)));
      at += size;
    }
    payloads.push(...exchange.finish());
    const expected = [...chunks.slice(0, 4), ...chunks.slice(5)];
    assert.equal(texts(payloads).join(""), texts(expected).join(""));
    const { usage, finishReason, responseModel } = exchange.outcome();
    assert.deepEqual(
      [usage.inputTokens, usage.cacheReadTokens, usage.outputTokens, finishReason, responseModel],
      [4n, 5n, 2n, "stop", "gpt-4o-2024-08-06"],
    );
  }
});

test("a Messages client is answered over chat", () => {
  const body = { model: "group", max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };
  const exchange = azure.begin(call({ operation: Operation.MESSAGES, stream: true }, body));
  assert.match(exchange.request.url, /chat\/completions/);
  const events = payloadObjects([...exchange.decodeEvents(chunks), ...exchange.finish()]);
  assert.deepEqual(
    events.map(({ type }) => type),
    [
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ],
  );
});
