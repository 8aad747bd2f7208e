import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { ChatCompletionStream } from "openai/lib/ChatCompletionStream";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { SseSplitter } from "../../sse.ts";
import { listOf, objectOf } from "../../translate/json-reading.ts";
import {
  bodyObject,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { gemini } from "./gemini.ts";

const fixture = (name: string) => readFileSync(new URL(`../__fixtures__/gemini/${name}`, import.meta.url));
const fixtureEvents = () => new SseSplitter().push(fixture("answer.sse"));
const question: JsonObject = { messages: [{ role: "user", content: "Weather and time?" }] };
const usageAsked: JsonObject = { ...question, stream_options: { include_usage: true } };

function begin(body: JsonObject = question, changes: Partial<ProviderCall> = {}) {
  return gemini.begin(
    providerCall(body, { model: "gemini-2.5-flash", credential: new Secret("AIza-test"), ...changes }),
  );
}

function whole(response: JsonObject, body: JsonObject = question): JsonObject {
  return bodyObject(begin(body).decodeBody(Buffer.from(JSON.stringify(response))));
}

const event = (response: JsonObject) => Buffer.from(`data: ${JSON.stringify(response)}\n\n`);
const candidate = (parts: JsonObject[], rest: JsonObject = {}): JsonObject => ({
  candidates: [{ content: { role: "model", parts }, index: 0, ...rest }],
});

function messageOf(completion: JsonObject): JsonObject {
  return objectOf(objectOf(listOf(completion.choices)[0]).message);
}

function upstreamErrorOf(run: () => unknown) {
  try {
    run();
  } catch (error) {
    return error instanceof ConnectError ? findUpstreamError(error) : undefined;
  }
  return undefined;
}

const calls = [
  {
    id: "call_resp-1_0",
    type: "function",
    function: { name: "get_weather", arguments: '{"city":"Paris"}' },
    provider_specific_fields: { thought_signature: "c2lnbmF0dXJl" },
  },
  { id: "own-1", type: "function", function: { name: "get_time", arguments: "{}" } },
];

test("an answer becomes a chat completion", () => {
  const exchange = begin();
  deepStrictEqual(bodyObject(exchange.decodeBody(fixture("answer.json"))), {
    id: "resp-1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "gemini-2.5-flash",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: "I'll look both up.",
          refusal: null,
          reasoning_content: "Two cities are asked for.",
          tool_calls: calls,
        },
        finish_reason: "tool_calls",
        logprobs: null,
      },
    ],
    usage: {
      prompt_tokens: 130,
      completion_tokens: 55,
      total_tokens: 185,
      prompt_tokens_details: { cached_tokens: 100, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 25, audio_tokens: 0 },
    },
  });
  const { usage, finishReason, responseId, responseModel } = exchange.outcome();
  deepStrictEqual([usage.inputTokens, usage.outputTokens, usage.cacheReadTokens], [30n, 55n, 100n]);
  deepStrictEqual([usage.reasoningTokens, usage.estimated], [25n, false]);
  deepStrictEqual([finishReason, responseId, responseModel], ["tool_calls", "resp-1", "gemini-2.5-flash"]);
});

test("a stream says what the whole answer says, however its events are grouped", async () => {
  const events = fixtureEvents();
  const random = randomNumbers(7);
  const reference = begin(usageAsked, { stream: true });
  const expected = texts([...reference.decodeEvents(events), ...reference.finish()]);
  for (let round = 0; round < 50; round++) {
    const exchange = begin(usageAsked, { stream: true });
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < events.length; ) {
      const size = Math.floor(random() * 4);
      payloads.push(...exchange.decodeEvents(events.slice(at, at + size)));
      at += size;
    }
    deepStrictEqual(texts([...payloads, ...exchange.finish()]), expected);
  }
  strictEqual(expected.at(-1), "data: [DONE]\n\n");
  const chunks = payloadObjects(expected.map((text) => Buffer.from(text)));
  const ndjson = chunks.map((chunk) => `${JSON.stringify(chunk)}\n`).join("");
  const completion = await ChatCompletionStream.fromReadableStream(new Blob([ndjson]).stream()).finalChatCompletion();
  const [choice] = completion.choices;
  strictEqual(choice?.message.content, "I'll look both up.");
  deepStrictEqual(
    choice?.message.tool_calls?.map(({ id }) => id),
    calls.map(({ id }) => id),
  );
  strictEqual(choice?.finish_reason, "tool_calls");
  strictEqual(completion.usage?.completion_tokens, 55);
  deepStrictEqual(reference.outcome().usage, wholeUsage());
});

function wholeUsage() {
  const exchange = begin();
  exchange.decodeBody(fixture("answer.json"));
  return exchange.outcome().usage;
}

test("usage is not sent unasked", () => {
  const exchange = begin(question, { stream: true });
  const chunks = payloadObjects([...exchange.decodeEvents(fixtureEvents()), ...exchange.finish()]);
  ok(chunks.every((chunk) => chunk.usage === undefined));
});

test("several candidates are several choices", () => {
  const second = (text: string, index: number): JsonObject => ({
    content: { parts: [{ text }] },
    finishReason: "STOP",
    index,
  });
  const candidates = [second("one", 0), second("two", 1)];
  const completion = whole({ candidates });
  deepStrictEqual(
    listOf(completion.choices).map((choice) => [objectOf(choice).index, objectOf(objectOf(choice).message).content]),
    [
      [0, "one"],
      [1, "two"],
    ],
  );
  const exchange = begin({ ...question, n: 2 }, { stream: true });
  const payloads = [...exchange.decodeEvents([event({ candidates })]), ...exchange.finish()];
  const finishes = payloadObjects(payloads)
    .map((chunk) => objectOf(listOf(chunk.choices)[0]))
    .filter(({ finish_reason }) => finish_reason !== null);
  deepStrictEqual(
    finishes.map(({ index, finish_reason }) => [index, finish_reason]),
    [
      [0, "stop"],
      [1, "stop"],
    ],
  );
});

test("finish reasons", () => {
  const cases: readonly [string, string, string | undefined][] = [
    ["STOP", "stop", undefined],
    ["MAX_TOKENS", "length", undefined],
    ["SAFETY", "content_filter", "SAFETY"],
    ["RECITATION", "content_filter", "RECITATION"],
    ["MALFORMED_FUNCTION_CALL", "stop", "MALFORMED_FUNCTION_CALL"],
    ["SOMETHING_NEW", "stop", "SOMETHING_NEW"],
  ];
  for (const [finishReason, expected, native] of cases) {
    const completion = whole(candidate([{ text: "x" }], { finishReason }));
    strictEqual(objectOf(listOf(completion.choices)[0]).finish_reason, expected);
    strictEqual(objectOf(messageOf(completion).provider_specific_fields).finish_reason, native);
  }
});

test("a refused prompt is a refusal", () => {
  const blocked = { promptFeedback: { blockReason: "SAFETY" }, usageMetadata: { promptTokenCount: 5 } };
  const completion = whole(blocked);
  strictEqual(objectOf(listOf(completion.choices)[0]).finish_reason, "content_filter");
  strictEqual(messageOf(completion).refusal, "The prompt was blocked: SAFETY");
  const exchange = begin(question, { stream: true });
  const chunks = payloadObjects([...exchange.decodeEvents([event(blocked)]), ...exchange.finish()]);
  strictEqual(objectOf(listOf(chunks.at(-1)?.choices)[0]).finish_reason, "content_filter");
  strictEqual(exchange.outcome().finishReason, "content_filter");
});

test("what a chat message cannot hold goes back as it came", () => {
  const parts: JsonObject[] = [
    { text: "Let me run it.", thoughtSignature: "YQ==" },
    { executableCode: { language: "PYTHON", code: "print(1)" } },
    { codeExecutionResult: { outcome: "OUTCOME_OK", output: "1\n" } },
    { text: "It is 1." },
  ];
  const message = messageOf(whole(candidate(parts, { finishReason: "STOP" })));
  strictEqual(message.content, "Let me run it.It is 1.");
  const { request } = begin({ messages: [{ role: "user", content: "?" }, message] });
  deepStrictEqual(objectOf(listOf(bodyObject(request.body).contents)[1]), { role: "model", parts });
  const changed = { ...message, content: "Something else." };
  const other = begin({ messages: [{ role: "user", content: "?" }, changed] });
  deepStrictEqual(objectOf(listOf(bodyObject(other.request.body).contents)[1]).parts, [{ text: "Something else." }]);
});

test("images, logprobs, grounding", () => {
  const image = whole(candidate([{ inlineData: { mimeType: "image/png", data: "aW1n" } }], { finishReason: "STOP" }));
  deepStrictEqual(messageOf(image).images, [{ type: "image_url", image_url: { url: "data:image/png;base64,aW1n" } }]);
  const logprobsResult = {
    chosenCandidates: [{ token: "Hi", logProbability: -0.1 }],
    topCandidates: [{ candidates: [{ token: "Hi", logProbability: -0.1 }] }],
  };
  const entry = { token: "Hi", logprob: -0.1, bytes: [72, 105] };
  const logprobs = whole(candidate([{ text: "Hi" }], { finishReason: "STOP", logprobsResult }));
  deepStrictEqual(objectOf(listOf(logprobs.choices)[0]).logprobs, {
    content: [{ ...entry, top_logprobs: [entry] }],
    refusal: null,
  });
  const groundingMetadata = {
    webSearchQueries: ["a", "b"],
    groundingChunks: [{ web: { uri: "https://x.test", title: "x" } }],
    groundingSupports: [{ segment: { startIndex: 3, endIndex: 6 }, groundingChunkIndices: [0] }],
  };
  const exchange = begin();
  const body = candidate([{ text: "äh yes" }], { finishReason: "STOP", groundingMetadata });
  const grounded = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(body))));
  const citation = { url: "https://x.test", title: "x", start_index: 2, end_index: 5 };
  deepStrictEqual(messageOf(grounded).annotations, [{ type: "url_citation", url_citation: citation }]);
  deepStrictEqual(objectOf(messageOf(grounded).provider_specific_fields).grounding_metadata, groundingMetadata);
  strictEqual(exchange.outcome().usage.toolCalls, 2n);
});

test("the old functions are answered in the old way", () => {
  const legacy: JsonObject = { ...question, functions: [{ name: "f", parameters: { type: "object" } }] };
  const answer = candidate([{ functionCall: { name: "f", args: { a: 1 } } }], { finishReason: "STOP" });
  const completion = whole(answer, legacy);
  deepStrictEqual(messageOf(completion).function_call, { name: "f", arguments: '{"a":1}' });
  strictEqual(objectOf(listOf(completion.choices)[0]).finish_reason, "function_call");
});

test("what is no answer fails, and an abort is estimated", () => {
  for (const body of ["", "<html>", "[]", "{}", '{"candidates":[]}', '{"usageMetadata":{}}']) {
    strictEqual(upstreamErrorOf(() => begin().decodeBody(Buffer.from(body)))?.httpStatus, 502, body);
  }
  const failed = { error: { code: 503, message: "The model is overloaded.", status: "UNAVAILABLE" } };
  const inBody = upstreamErrorOf(() => begin().decodeBody(Buffer.from(JSON.stringify(failed))));
  deepStrictEqual([inBody?.kind, inBody?.retryable], [UpstreamErrorKind.UNAVAILABLE, true]);
  const exchange = begin(question, { stream: true });
  exchange.decodeEvents(fixtureEvents().slice(0, 2));
  ok(exchange.outcome().usage.estimated);
  strictEqual(upstreamErrorOf(() => exchange.finish())?.httpStatus, 502);
  strictEqual(upstreamErrorOf(() => exchange.decodeEvents([event(failed)]))?.httpStatus, 503);
  strictEqual(upstreamErrorOf(() => exchange.decodeEvents([Buffer.from("data: {oops\n\n")]))?.httpStatus, 502);
  deepStrictEqual(exchange.decodeEvents([Buffer.from(": comment\n\n")]), []);
});

test("a reason that more content follows is not the end", () => {
  const exchange = begin(question, { stream: true });
  exchange.decodeEvents(fixtureEvents().slice(0, 4));
  strictEqual(upstreamErrorOf(() => exchange.finish())?.httpStatus, 502);
});

test("a client of the Messages dialect is answered in it", () => {
  const body: JsonObject = { max_tokens: 100, messages: [{ role: "user", content: "Weather?" }] };
  const exchange = begin(body, { operation: Operation.MESSAGES });
  deepStrictEqual(objectOf(bodyObject(exchange.request.body).generationConfig), { maxOutputTokens: 100 });
  const message = bodyObject(exchange.decodeBody(fixture("answer.json")));
  deepStrictEqual(
    listOf(message.content).map((block) => objectOf(block).type),
    ["thinking", "text", "tool_use", "tool_use"],
  );
  strictEqual(message.stop_reason, "tool_use");
});

test("the address, the key and an operation that there is not", () => {
  const { request } = begin(question, { stream: true, headers: { "x-extra": "1", "anthropic-beta": "x" } });
  strictEqual(
    request.url,
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
  );
  strictEqual(request.headers["x-goog-api-key"], "AIza-test");
  deepStrictEqual([request.headers["x-extra"], request.headers["anthropic-beta"]], ["1", undefined]);
  const bases: readonly [string, string][] = [
    ["http://h", "http://h/v1beta/models/m:generateContent"],
    ["http://h/v1", "http://h/v1/models/m:generateContent"],
    ["http://h/v1beta/models", "http://h/v1beta/models/m:generateContent"],
  ];
  for (const [baseUrl, url] of bases) strictEqual(begin(question, { baseUrl, model: "m" }).request.url, url);
  const missing = upstreamErrorOf(() => begin(question, { credential: undefined }));
  deepStrictEqual([missing?.httpStatus, missing?.message.includes("GEMINI_API_KEY")], [401, true]);
  strictEqual(upstreamErrorOf(() => begin(question, { credential: new Secret("a\nb") }))?.httpStatus, 401);
  throws(
    () => begin(question, { operation: Operation.RESPONSES }),
    (error) => error instanceof ConnectError && findGatewayError(error)?.reason === Reason.OPERATION_UNSUPPORTED,
  );
});
