import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { SseSplitter } from "../../sse.ts";
import { bodyObject, providerCall, randomNumbers, texts } from "../../translate/testing/provider-call.ts";
import { writeSignature } from "../../translate/thought-signature.ts";
import { vertexAi } from "../vertex-ai/vertex-ai.ts";
import { gemini } from "./gemini.ts";

const contents = [{ role: "user", parts: [{ text: "Hi" }] }];
const config = '{ "topP":0.10, "maxOutputTokens":50 }';
const written = `{"model":"mine", "contents": [{"parts":[{"text":"Hi"}]}],"generationConfig": ${config} , "new": 1.0}`;

function callOf(body: string | JsonObject, changes: Partial<ProviderCall> = {}): ProviderCall {
  const own = { operation: Operation.GENERATE_CONTENT, model: "gemini-2.5-flash", credential: new Secret("key") };
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  return { ...providerCall({}, own), body: bytes, ...changes };
}

const begin = (body: string | JsonObject = { contents }, changes?: Partial<ProviderCall>) =>
  gemini.begin(callOf(body, changes));

test("the client's bytes go on but for what has to differ", () => {
  const passed = written.replace('"model":"mine",', "");
  const cases: readonly [string, string, Partial<ProviderCall>][] = [
    [written, passed, {}],
    [written, passed, { outputTokenCap: 60 }],
    [written, passed.replace("50", "40"), { outputTokenCap: 40 }],
    ['{"contents":[]}', '{"contents":[],"generationConfig":{"maxOutputTokens":40}}', { outputTokenCap: 40 }],
    [
      '{"generation_config":{"max_output_tokens":50,"seed":1}}',
      '{"generation_config":{"seed":1,"maxOutputTokens":40}}',
      { outputTokenCap: 40 },
    ],
    [
      '{"safety_settings":[],"generation_config":{"top_p":1}}',
      '{"safety_settings":[],"generation_config":{"top_p":1,"temperature":0.5},"labels":{}}',
      { defaultParams: { temperature: 0.5, top_p: 0.1, safety_settings: [{}], labels: {} } },
    ],
    [
      '{"contents":[]}',
      '{"contents":[],"generationConfig":{"maxOutputTokens":30}}',
      { defaultParams: { max_tokens: 30 }, outputTokenCap: 40 },
    ],
  ];
  for (const [body, expected, changes] of cases) {
    const sent = Buffer.from(begin(body, changes).request.body).toString();
    strictEqual(sent.replace(/^\{\s+/, "{"), expected.replace(/^\{\s+/, "{"), body);
  }
  throws(() => begin("[]"), /JSON object/);
});

test("a signature of another provider's gives way to the one for lost ones", () => {
  const own = writeSignature({ provider: "anthropic", message: { thinking_blocks: [] }, calls: {} }) ?? "";
  const parts = (thoughtSignature: string): JsonObject => ({
    contents: [{ role: "model", parts: [{ text: "a", thoughtSignature }] }],
  });
  deepStrictEqual(bodyObject(begin(parts("google's")).request.body), parts("google's"));
  const lost = Buffer.from("skip_thought_signature_validator").toString("base64");
  deepStrictEqual(bodyObject(begin(parts(own)).request.body), parts(lost));
});

test("where the request goes", () => {
  const host = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash";
  const whole = begin().request;
  strictEqual(whole.url, `${host}:generateContent`);
  strictEqual(whole.headers["x-goog-api-key"], "key");
  strictEqual(begin({ contents }, { stream: true }).request.url, `${host}:streamGenerateContent?alt=sse`);
  const settings = { vertex_project: "p", vertex_location: "global" };
  const call = callOf({ contents }, { settings });
  const model = "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global/publishers/google/models";
  strictEqual(vertexAi.begin(call).request.url, `${model}/gemini-2.5-flash:generateContent`);
  const claude = vertexAi.begin({ ...call, model: "claude-sonnet-4-5" });
  ok(claude.request.url.endsWith("/publishers/anthropic/models/claude-sonnet-4-5:rawPredict"), claude.request.url);
  deepStrictEqual(bodyObject(claude.request.body).messages, [{ role: "user", content: "Hi" }]);
});

const usageMetadata = {
  promptTokenCount: 10,
  cachedContentTokenCount: 4,
  candidatesTokenCount: 5,
  thoughtsTokenCount: 2,
  totalTokenCount: 17,
};
const response = (parts: JsonObject[], more: JsonObject = {}): JsonObject => ({
  candidates: [{ content: { parts, role: "model" }, ...more }],
  usageMetadata,
  modelVersion: "gemini-2.5-flash-001",
  responseId: "r1",
});

test("a whole answer stays what it is, and is read", () => {
  const body = Buffer.from(JSON.stringify(response([{ functionCall: { name: "f" } }], { finishReason: "STOP" })));
  const exchange = begin();
  strictEqual(exchange.decodeBody(body), body);
  const { usage, ...rest } = exchange.outcome();
  deepStrictEqual(rest, { finishReason: "tool_calls", responseModel: "gemini-2.5-flash-001", responseId: "r1" });
  deepStrictEqual(
    [usage.inputTokens, usage.cacheReadTokens, usage.outputTokens, usage.reasoningTokens, usage.estimated],
    [6n, 4n, 7n, 2n, false],
  );
  const blocked = begin();
  blocked.decodeBody(Buffer.from('{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}'));
  strictEqual(blocked.outcome().finishReason, "content_filter");
  const wrong: readonly [string, UpstreamErrorKind, number][] = [
    ["{}", UpstreamErrorKind.BAD_GATEWAY, 502],
    ["<html>", UpstreamErrorKind.BAD_GATEWAY, 502],
    ['{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}', UpstreamErrorKind.UNAVAILABLE, 503],
  ];
  for (const [text, kind, status] of wrong) {
    throws(
      () => begin().decodeBody(Buffer.from(text)),
      (error) => failed(error, kind, status),
      text,
    );
  }
});

function failed(error: unknown, kind: UpstreamErrorKind, status: number): boolean {
  const upstream = error instanceof ConnectError ? findUpstreamError(error) : undefined;
  return upstream?.kind === kind && upstream.httpStatus === status;
}

const event = (body: JsonObject) => `data: ${JSON.stringify(body)}\r\n\r\n`;
const streamed = [
  event(response([{ text: "Hé" }])),
  ": a comment\r\n\r\n",
  event(response([{ executableCode: { code: "1" } }], { finishReason: "STOP" })),
  event(response([{ text: "llo" }])),
  event(response([{ text: "" }], { finishReason: "STOP" })),
  event({ usageMetadata: { ...usageMetadata, candidatesTokenCount: 9 } }),
];
const splitEvents = () => streamed.map((text) => Buffer.from(text));

test("a stream's events stay what they are; the last one waits for the end", () => {
  const exchange = begin({ contents }, { stream: true });
  deepStrictEqual(texts(exchange.decodeEvents(splitEvents().slice(0, 3))), streamed.slice(0, 2));
  deepStrictEqual(texts(exchange.decodeEvents(splitEvents().slice(3))), streamed.slice(2, 5));
  deepStrictEqual(texts(exchange.finish()), streamed.slice(5));
  strictEqual(exchange.outcome().usage.outputTokens, 11n);
  strictEqual(exchange.outcome().finishReason, "stop");
});

test("a stream without an end, and one that holds an error, are no answers", () => {
  const cut = begin({ contents }, { stream: true });
  cut.decodeEvents(splitEvents().slice(0, 1));
  throws(
    () => cut.finish(),
    (error) => failed(error, UpstreamErrorKind.BAD_GATEWAY, 502),
  );
  ok(cut.outcome().usage.estimated);
  const error = Buffer.from(event({ error: { code: 429, message: "slow", status: "RESOURCE_EXHAUSTED" } }));
  throws(
    () => cut.decodeEvents([error]),
    (thrown) => failed(thrown, UpstreamErrorKind.RATE_LIMITED, 429),
  );
  throws(() => begin({ contents }, { stream: true }).finish(), ConnectError);
  const blocked = begin({ contents }, { stream: true });
  const feedback = Buffer.from(event({ promptFeedback: { blockReason: "SAFETY" } }));
  deepStrictEqual([...blocked.decodeEvents([feedback]), ...blocked.finish()], [feedback]);
});

test("any cut of the body gives the same payloads", () => {
  // Comments are taken out before a provider gets to see them.
  const sent = streamed.filter((text) => text.startsWith("data:")).join("");
  const whole = Buffer.from(streamed.join(""));
  const random = randomNumbers(11);
  for (let run = 0; run < 100; run += 1) {
    const splitter = new SseSplitter();
    const exchange = begin({ contents }, { stream: true });
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < whole.length; ) {
      const end = Math.min(whole.length, at + 1 + Math.floor(random() * (run < 10 ? 3 : 300)));
      payloads.push(...exchange.decodeEvents(splitter.push(whole.subarray(at, end))));
      at = end;
    }
    strictEqual(Buffer.concat([...payloads, ...exchange.finish()]).toString(), sent);
  }
});

test("tokens are counted by Google, for clients of every dialect", () => {
  const settings = { vertex_project: "p" };
  const systemInstruction = { parts: [{ text: "S" }] };
  const asked = { contents, systemInstruction };
  const message = { max_tokens: 5, system: "S", messages: [{ role: "user", content: "Hi" }] };
  const wrapped = { generateContentRequest: { model: "models/mine", ...asked } };
  for (const [operation, body] of [
    [Operation.GENERATE_CONTENT, asked],
    [Operation.GENERATE_CONTENT, wrapped],
    [Operation.MESSAGES, message],
  ] as const) {
    const call = callOf(body, { operation, settings });
    const studio = gemini.countTokens?.(call);
    ok(studio !== undefined);
    ok(studio.request.url.endsWith("/models/gemini-2.5-flash:countTokens"));
    const { generateContentRequest } = bodyObject(studio.request.body);
    deepStrictEqual(
      { generationConfig: { maxOutputTokens: 5 }, ...Object(generateContentRequest) },
      { ...asked, model: "models/gemini-2.5-flash", generationConfig: { maxOutputTokens: 5 } },
    );
    const vertex = vertexAi.countTokens?.(call);
    deepStrictEqual(bodyObject(vertex?.request.body ?? new Uint8Array()).systemInstruction, systemInstruction);
    strictEqual(studio.read(Buffer.from('{"totalTokens":31}')), 31);
    throws(() => studio.read(Buffer.from("{}")), ConnectError);
  }
  strictEqual(vertexAi.countTokens?.(callOf(asked, { model: "claude-sonnet-4-5", settings })), undefined);
});
