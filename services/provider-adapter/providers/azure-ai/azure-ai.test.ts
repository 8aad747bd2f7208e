import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ProviderCall } from "../../provider.ts";
import { bodyObject, fixture, providerCall } from "../../translate/testing/provider-call.ts";
import { azureAi } from "./azure-ai.ts";

const chat = { model: "group", messages: [{ role: "user", content: "Hi" }] };
const foundry = "https://one.services.ai.azure.com";
const serverless = "https://llama.eastus2.models.ai.azure.com";

function call(changes: Partial<ProviderCall> = {}): ProviderCall {
  return providerCall(chat, { model: "grok-4", baseUrl: foundry, credential: new Secret("key"), ...changes });
}

const version = (api_version: string): Partial<ProviderCall> => ({ settings: { api_version } });
const responses = { operation: Operation.RESPONSES } as const;
const embeddings = { operation: Operation.EMBEDDINGS } as const;
const claude = { model: "claude-opus-4-1" } as const;

const requests: readonly [name: string, changes: Partial<ProviderCall>, url: string, keyHeader: string][] = [
  ["models", {}, `${foundry}/models/chat/completions?api-version=2024-05-01-preview`, "api-key"],
  [
    "their address",
    { baseUrl: `${foundry}/models/chat/completions?api-version=2025-01-01` },
    `${foundry}/models/chat/completions?api-version=2025-01-01`,
    "api-key",
  ],
  ["without dates", version("v1"), `${foundry}/openai/v1/chat/completions`, "api-key"],
  ["their address", { baseUrl: `${foundry}/openai/v1` }, `${foundry}/openai/v1/chat/completions`, "api-key"],
  ["responses", responses, `${foundry}/openai/v1/responses`, "api-key"],
  ["embeddings", embeddings, `${foundry}/models/embeddings?api-version=2024-05-01-preview`, "api-key"],
  ["a model of its own", { baseUrl: serverless }, `${serverless}/chat/completions`, "authorization"],
  ["its address", { baseUrl: `${serverless}/v1` }, `${serverless}/v1/chat/completions`, "authorization"],
  [
    "Azure OpenAI",
    { baseUrl: "https://one.openai.azure.com" },
    "https://one.openai.azure.com/openai/deployments/grok-4/chat/completions?api-version=2025-02-01-preview",
    "api-key",
  ],
  ["Claude", claude, `${foundry}/anthropic/v1/messages`, "x-api-key"],
  ["its address", { ...claude, baseUrl: `${foundry}/anthropic` }, `${foundry}/anthropic/v1/messages`, "x-api-key"],
  [
    "its whole address",
    { ...claude, baseUrl: `${foundry}/anthropic/v1/messages` },
    `${foundry}/anthropic/v1/messages`,
    "x-api-key",
  ],
];

test("address and key header follow the host and the model", () => {
  for (const [name, changes, url, keyHeader] of requests) {
    const { request } = azureAi.begin(call(changes));
    const expected = keyHeader === "authorization" ? "Bearer key" : "key";
    assert.deepEqual([request.url, request.headers[keyHeader]], [url, expected], name);
  }
});

test("a token goes into authorization everywhere", () => {
  const credential = new Secret('{"azure_ad_token":"t0"}');
  for (const changes of [{}, { baseUrl: serverless }, claude]) {
    const { headers } = azureAi.begin(call({ ...changes, credential })).request;
    assert.equal(headers.authorization, "Bearer t0");
    assert.equal(headers["api-key"] ?? headers["x-api-key"], undefined);
  }
});

test("what is missing is named", () => {
  assert.throws(() => azureAi.begin(call({ baseUrl: "" })), /AZURE_AI_API_BASE/);
  assert.throws(() => azureAi.begin(call({ credential: undefined })), /AZURE_AI_API_KEY/);
});

test("fields that the models' API does not know are passed on, or dropped where the caller wants that", () => {
  const header = (changes: Partial<ProviderCall>) => azureAi.begin(call(changes)).request.headers["extra-parameters"];
  assert.equal(header({}), "pass-through");
  assert.equal(header({ dropParams: true }), "drop");
  assert.equal(header({ headers: { "extra-parameters": "error" } }), "error");
  assert.equal(header(version("v1")), undefined);
});

test("the router's prefix is no part of the model", () => {
  const { request } = azureAi.begin(call({ model: "model_router/mine" }));
  assert.equal(bodyObject(request.body).model, "mine");
});

test("Claude answers a chat", () => {
  const exchange = azureAi.begin(call(claude));
  const answer = bodyObject(exchange.decodeBody(fixture("answer.json")));
  assert.equal(answer.object, "chat.completion");
});

test("errors of both shapes are read", () => {
  const classify = (status: number, body: object) =>
    azureAi.classifyError(status, {}, Buffer.from(JSON.stringify(body)));
  const error = classify(429, { type: "error", error: { type: "rate_limit_error", message: "slow down" } });
  assert.deepEqual(
    [error.provider, error.message, error.kind],
    ["azure_ai", "slow down", UpstreamErrorKind.RATE_LIMITED],
  );
  const other = classify(422, { error: { code: "Invalid input", status: 422, message: "invalid input error" } });
  assert.deepEqual(
    [other.provider, other.message, other.kind],
    ["azure_ai", "invalid input error", UpstreamErrorKind.UNPROCESSABLE],
  );
});
