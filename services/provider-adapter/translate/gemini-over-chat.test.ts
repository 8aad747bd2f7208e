import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { ChatUpstream, Exchange, JsonObject, Provider, ProviderCall } from "../provider.ts";
import { SseSplitter } from "../sse.ts";
import { everyProvider } from "../testing/every-provider.ts";
import { createGeminiOverChat, withGenerateContent } from "./gemini-over-chat.ts";
import { objectOf, objectsOf, textOf } from "./json-reading.ts";
import type { ChatProvider } from "./over-chat.ts";
import { dataEvent } from "./sse-event.ts";
import { bodyObject, payloadObjects, providerCall, randomNumbers, texts } from "./testing/provider-call.ts";

const providers = await everyProvider();

const usage = create(UsageSchema, { inputTokens: 10n, outputTokens: 20n, cacheReadTokens: 5n, reasoningTokens: 7n });
const usageMetadata = {
  promptTokenCount: 15,
  candidatesTokenCount: 13,
  totalTokenCount: 35,
  cachedContentTokenCount: 5,
  thoughtsTokenCount: 7,
};

/** A chat provider that passes everything through and reports fixed usage. */
function chatProvider(upstream: Partial<ChatUpstream> = {}, id = "fake"): ChatProvider {
  const begin = (call: ProviderCall): Exchange => ({
    request: { method: "POST", url: "http://h", headers: {}, body: call.body },
    decodeBody: (body) => body,
    decodeEvents: (events) => [...events],
    finish: () => [dataEvent("[DONE]")],
    outcome: () => ({ usage, finishReason: "stop", responseModel: "m", responseId: "c1" }),
  });
  return { id, upstream: { outputLimitField: "max_tokens", ...upstream }, begin };
}

const hi = { role: "user", parts: [{ text: "Hi" }] };

function begin(body: JsonObject, changes: Partial<ProviderCall> = {}, provider = chatProvider()): Exchange {
  const call = providerCall(
    { contents: [hi], ...body },
    { operation: Operation.GENERATE_CONTENT, model: "gpt-5", ...changes },
  );
  return createGeminiOverChat(call, provider);
}

const requestOf = (body: JsonObject, changes?: Partial<ProviderCall>, provider?: ChatProvider) =>
  bodyObject(begin(body, changes, provider).request.body);
const messagesOf = (contents: JsonObject[], provider?: ChatProvider) =>
  objectsOf(requestOf({ contents }, {}, provider).messages);

const declaration = { name: "f", description: "d", parametersJsonSchema: { type: "object" } };
const fn = { type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } };
const calling = (config: JsonObject) => ({
  tools: [{ functionDeclarations: [declaration, { name: "g" }] }],
  toolConfig: { functionCallingConfig: config },
});
const g = { type: "function", function: { name: "g", parameters: { type: "object", properties: {} } } };

test("the request's parameters", () => {
  const cases: readonly [generationConfig: JsonObject, expected: JsonObject, changes?: Partial<ProviderCall>][] = [
    [{}, {}],
    [
      { temperature: 0, topP: 0.5, topK: 3, seed: 7, presencePenalty: 0.1, frequencyPenalty: 0.2 },
      { temperature: 0, top_p: 0.5, top_k: 3, seed: 7, presence_penalty: 0.1, frequency_penalty: 0.2 },
      { model: "gpt-oss-120b" },
    ],
    [{ topK: 3 }, {}],
    [{ topK: 3 }, { top_k: 3 }, { allowedParams: ["top_k"] }],
    [
      { max_output_tokens: 9, stop_sequences: ["x"] },
      { max_tokens: 9, stop: ["x"] },
    ],
    [{ candidateCount: 1, mediaResolution: "MEDIA_RESOLUTION_LOW", responseModalities: ["TEXT"] }, {}],
    [
      { candidateCount: 2, responseLogprobs: true, logprobs: 3 },
      { n: 2, logprobs: true, top_logprobs: 3 },
    ],
    [{ topK: 3, speechConfig: {} }, {}, { dropParams: true }],
    [{ thinkingConfig: { thinkingBudget: 31_999, includeThoughts: true } }, { reasoning_effort: "high" }],
    [{ thinking_config: { thinking_budget: 1024 } }, { reasoning_effort: "low" }],
    [{ thinkingConfig: { thinkingBudget: -1 } }, {}],
    [{ thinkingConfig: { thinkingLevel: "MINIMAL" } }, { reasoning_effort: "minimal" }],
    [{ thinkingConfig: { thinkingBudget: 0 } }, { reasoning_effort: "minimal" }],
    [{ thinkingConfig: { thinkingBudget: 0 } }, { reasoning_effort: "low" }, { model: "o3" }],
    [{ thinkingConfig: { thinkingBudget: 0 } }, { reasoning_effort: "none" }, { model: "claude-sonnet-4-5" }],
    [{ thinkingConfig: { thinkingLevel: "HIGH" } }, {}, { model: "gpt-4o" }],
    [{ responseMimeType: "application/json" }, { response_format: { type: "json_object" } }],
    [{ responseMimeType: "text/plain" }, {}],
    [{ responseModalities: ["TEXT", "IMAGE"] }, { modalities: ["text", "image"] }],
  ];
  for (const [generationConfig, expected, changes] of cases) {
    const basis = { model: changes?.model ?? "gpt-5", messages: [{ role: "user", content: "Hi" }] };
    deepStrictEqual(
      requestOf({ generationConfig }, changes),
      { ...basis, ...expected },
      JSON.stringify(generationConfig),
    );
  }
  strictEqual(requestOf({}, { stream: true }).stream, true);
  const { messages } = requestOf({ system_instruction: { parts: [{ text: "A" }, { text: "B" }] }, labels: { a: "b" } });
  deepStrictEqual(objectsOf(messages)[0], { role: "system", content: "A\nB" });
  deepStrictEqual(objectsOf(requestOf({ systemInstruction: "A" }).messages)[0], { role: "system", content: "A" });
});

test("the request's schemas", () => {
  const google = {
    type: "OBJECT",
    properties: {
      kind: { type: "STRING", format: "enum", enum: ["a"], nullable: true },
      list: {
        type: "ARRAY",
        items: { type: "OBJECT", properties: { n: { type: "INTEGER" } }, required: ["n"] },
        minItems: "1",
      },
    },
    required: ["kind", "list"],
    propertyOrdering: ["kind", "list"],
  };
  const item = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
  const json = {
    type: "object",
    properties: {
      kind: { type: ["string", "null"], enum: ["a", null] },
      list: { type: "array", items: { ...item, additionalProperties: false }, minItems: 1 },
    },
    required: ["kind", "list"],
    additionalProperties: false,
  };
  const loose = { type: "object", properties: { a: { type: "string" } } };
  const cases: readonly [JsonObject, JsonObject, boolean][] = [
    [{ responseSchema: google }, json, true],
    [{ response_schema: google }, json, true],
    [{ responseJsonSchema: json }, json, true],
    [{ _responseJsonSchema: loose }, { ...loose, additionalProperties: false }, false],
    [{ responseJsonSchema: { ...item, additionalProperties: true } }, { ...item, additionalProperties: true }, false],
    [
      { responseSchema: { type: "ARRAY", items: { type: "STRING" } } },
      { type: "array", items: { type: "string" } },
      false,
    ],
  ];
  for (const [config, schema, strict] of cases) {
    const { response_format } = requestOf({ generationConfig: { responseMimeType: "application/json", ...config } });
    deepStrictEqual(response_format, { type: "json_schema", json_schema: { name: "answer", schema, strict } });
  }
  const { tools } = requestOf({ tools: [{ function_declarations: [{ name: "f", parameters: google }] }] });
  const parameters = objectOf(objectOf(objectsOf(tools)[0]?.function).parameters);
  deepStrictEqual(parameters.required, ["kind", "list"]);
  strictEqual(parameters.additionalProperties, undefined);
});

test("the request's tools", () => {
  const cases: readonly [JsonObject, JsonObject, Partial<ChatUpstream>?][] = [
    [{ tools: [{ functionDeclarations: [declaration] }] }, { tools: [fn] }],
    [calling({ mode: "AUTO" }), { tools: [fn, g], tool_choice: "auto" }],
    [calling({ mode: "VALIDATED" }), { tools: [fn, g], tool_choice: "auto" }],
    [calling({ mode: "NONE" }), { tools: [fn, g], tool_choice: "none" }],
    [calling({ mode: "ANY" }), { tools: [fn, g], tool_choice: "required" }],
    [
      calling({ mode: "ANY", allowedFunctionNames: ["g"] }),
      { tools: [g], tool_choice: { type: "function", function: { name: "g" } } },
    ],
    [calling({ mode: "ANY", allowedFunctionNames: ["g", "f"] }), { tools: [fn, g], tool_choice: "required" }],
    [{ tools: [{ googleSearch: {} }] }, { web_search_options: {} }, { searchesWeb: true }],
  ];
  for (const [body, expected, upstream] of cases) {
    const { model: _model, messages: _messages, ...rest } = requestOf(body, {}, chatProvider(upstream));
    deepStrictEqual(rest, expected, JSON.stringify(body));
  }
});

test("what a chat upstream cannot do is refused by name, as the client wrote it, or dropped", () => {
  const harm = (threshold: string) => [{ category: "HARM_CATEGORY_HARASSMENT", threshold }];
  const part = (own: JsonObject): JsonObject => ({ contents: [{ role: "user", parts: [own] }] });
  const cases: readonly [string, JsonObject][] = [
    ["safetySettings", { safetySettings: harm("BLOCK_LOW_AND_ABOVE") }],
    ["cachedContent", { cachedContent: "cachedContents/a" }],
    ["tools", { tools: [{ codeExecution: {} }] }],
    ["tools", { tools: [{ googleSearch: {} }] }],
    ["toolConfig.retrievalConfig", { toolConfig: { retrievalConfig: {} } }],
    ["generationConfig.speechConfig", { generationConfig: { speechConfig: {} } }],
    ["generationConfig.responseModalities", { generationConfig: { responseModalities: ["AUDIO"] } }],
    ["generationConfig.responseMimeType", { generationConfig: { responseMimeType: "text/x.enum" } }],
    ["contents", part({ fileData: { fileUri: "gs://b/a.pdf", mimeType: "application/pdf" } })],
    ["contents", part({ news: {} })],
  ];
  const paramOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof ConnectError) return findGatewayError(error)?.param ?? "";
    }
    return "accepted";
  };
  for (const [param, body] of cases) {
    strictEqual(
      paramOf(() => requestOf(body)),
      param,
    );
    requestOf(body, { dropParams: true });
  }
  strictEqual(
    paramOf(() => requestOf({ safetySettings: harm("BLOCK_NONE") })),
    "accepted",
  );
  const wrong: readonly [string, JsonObject][] = [
    ["contents", { contents: [{ role: "robot", parts: [] }] }],
    ["contents", part({ functionResponse: { name: "f", response: {} } })],
  ];
  for (const [param, body] of wrong)
    strictEqual(
      paramOf(() => requestOf(body, { dropParams: true })),
      param,
    );
  const anthropic = providers.get("anthropic");
  ok(anthropic !== undefined);
  const call = providerCall(
    { contents: [hi], generationConfig: { candidateCount: 2 } },
    { operation: Operation.GENERATE_CONTENT },
  );
  throws(() => anthropic.begin(call), /'generationConfig.candidateCount'/);
});

test("the request's contents", () => {
  const image = { inlineData: { mimeType: "image/png", data: "iVB-_w==" } };
  const part = { type: "image_url", image_url: { url: "data:image/png;base64,iVB+/w==" } };
  const cases: readonly [JsonObject, JsonObject[] | string][] = [
    [{ text: "A" }, "A"],
    [image, [part]],
    [{ inline_data: { mime_type: "image/png", data: "iVB+/w==" } }, [part]],
    [
      { inlineData: { mimeType: "audio/mpeg", data: "AA" } },
      [{ type: "input_audio", input_audio: { data: "AA", format: "mp3" } }],
    ],
    [
      { inlineData: { mimeType: "application/pdf", data: "JVBE" } },
      [{ type: "file", file: { filename: "document.pdf", file_data: "data:application/pdf;base64,JVBE" } }],
    ],
    [{ inlineData: { mimeType: "text/csv", data: Buffer.from("a,b").toString("base64") } }, "a,b"],
    [
      { inlineData: { mimeType: "video/mp4", data: "AA" } },
      [{ type: "video_url", video_url: { url: "data:video/mp4;base64,AA" } }],
    ],
    [
      { fileData: { mimeType: "image/png", fileUri: "https://h/a" } },
      [{ type: "image_url", image_url: { url: "https://h/a" } }],
    ],
    [{ file_data: { file_uri: "https://h/a.png" } }, [{ type: "image_url", image_url: { url: "https://h/a.png" } }]],
    [
      { fileData: { mimeType: "application/pdf", fileUri: "https://h/a" } },
      [{ type: "file", file: { file_id: "https://h/a", format: "application/pdf" } }],
    ],
  ];
  for (const [own, content] of cases) {
    deepStrictEqual(messagesOf([{ parts: [own] }]), [{ role: "user", content }], JSON.stringify(own));
  }
});

test("calls and results find each other, by id or by name and order", () => {
  const call = (name: string, id?: string): JsonObject => ({
    functionCall: { name, args: { a: 1 }, ...(id ? { id } : {}) },
  });
  const result = (name: string, response: JsonObject, id?: string): JsonObject => ({
    functionResponse: { name, response, ...(id ? { id } : {}) },
  });
  const called = (id: string, name: string) => ({ id, type: "function", function: { name, arguments: '{"a":1}' } });
  deepStrictEqual(
    messagesOf([
      { role: "model", parts: [{ text: "Let " }] },
      { role: "model", parts: [{ text: "me see" }, call("f"), call("f"), call("g", "own")] },
      {
        role: "user",
        parts: [
          result("g", { a: 1 }, "own"),
          result("f", { output: "first" }),
          result("f", { result: "second" }),
          { text: "So?" },
        ],
      },
    ]),
    [
      {
        role: "assistant",
        content: "Let me see",
        tool_calls: [called("call_0", "f"), called("call_1", "f"), called("own", "g")],
      },
      { role: "tool", tool_call_id: "own", content: '{"a":1}' },
      { role: "tool", tool_call_id: "call_0", content: "first" },
      { role: "tool", tool_call_id: "call_1", content: "second" },
      { role: "user", content: "So?" },
    ],
  );
  const seen = result("f", { output: "a picture" });
  Object.assign(objectOf(seen.functionResponse), { parts: [{ inlineData: { mimeType: "image/png", data: "AA" } }] });
  deepStrictEqual(
    messagesOf([
      { role: "model", parts: [call("f")] },
      { role: "function", parts: [seen] },
    ]).slice(1),
    [
      { role: "tool", tool_call_id: "call_0", content: "a picture" },
      { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA" } }] },
    ],
  );
});

function answerOf(choice: JsonObject, config: JsonObject = {}, provider?: ChatProvider): JsonObject {
  const completion = { id: "c1", model: "m", choices: [{ index: 0, finish_reason: "stop", ...choice }] };
  return bodyObject(
    begin({ generationConfig: config }, {}, provider).decodeBody(Buffer.from(JSON.stringify(completion))),
  );
}

test("the answer", () => {
  const tool = { id: "c", function: { name: "f", arguments: '{"a":1}' } };
  const think = { thinkingConfig: { includeThoughts: true } };
  const page = { url: "https://h", title: "H", start_index: 1, end_index: 3 };
  const cases: readonly [JsonObject, JsonObject, JsonObject?][] = [
    [{ message: { content: "Hello" } }, { parts: [{ text: "Hello" }], reason: "STOP" }],
    [{ message: { content: null } }, { parts: [{ text: "" }], reason: "STOP" }],
    [
      { message: { content: "a" }, finish_reason: "length" },
      { parts: [{ text: "a" }], reason: "MAX_TOKENS" },
    ],
    [
      { message: { content: "" }, finish_reason: "content_filter" },
      { parts: [{ text: "" }], reason: "SAFETY" },
    ],
    [{ message: { refusal: "No" } }, { parts: [{ text: "No" }], reason: "SAFETY" }],
    [
      { message: { content: "a" }, finish_reason: "new" },
      { parts: [{ text: "a" }], reason: "OTHER" },
    ],
    [
      { message: { content: "a", tool_calls: [tool] }, finish_reason: "tool_calls" },
      { parts: [{ text: "a" }, { functionCall: { id: "c", name: "f", args: { a: 1 } } }], reason: "STOP" },
    ],
    [
      { message: { tool_calls: [{ id: "c", function: { name: "f", arguments: "{cut" } }] } },
      { parts: [{ functionCall: { id: "c", name: "f", args: { invalid_arguments: "{cut" } } }], reason: "STOP" },
    ],
    [{ message: { content: "a", reasoning_content: "b" } }, { parts: [{ text: "a" }], reason: "STOP" }],
    [
      { message: { content: "a", reasoning: "b" } },
      { parts: [{ text: "b", thought: true }, { text: "a" }], reason: "STOP" },
      think,
    ],
    [
      { message: { content: "a", images: [{ image_url: { url: "data:image/png;base64,AA" } }] } },
      { parts: [{ text: "a" }, { inlineData: { mimeType: "image/png", data: "AA" } }], reason: "STOP" },
    ],
    [
      { message: { content: "éab", annotations: [{ type: "url_citation", url_citation: page }] } },
      {
        parts: [{ text: "éab" }],
        reason: "STOP",
        groundingMetadata: {
          groundingChunks: [{ web: { uri: "https://h", title: "H" } }],
          groundingSupports: [{ segment: { startIndex: 2, endIndex: 4, text: "ab" }, groundingChunkIndices: [0] }],
        },
      },
    ],
    [
      { message: { content: "a" }, logprobs: { content: [{ token: "a", logprob: -1, top_logprobs: [] }] } },
      {
        parts: [{ text: "a" }],
        reason: "STOP",
        logprobsResult: { chosenCandidates: [{ token: "a", logProbability: -1 }], topCandidates: [{ candidates: [] }] },
      },
    ],
  ];
  for (const [choice, { parts, reason, ...rest }, config] of cases) {
    const expected = { content: { parts, role: "model" }, finishReason: reason, index: 0, ...rest };
    deepStrictEqual(answerOf(choice, config), {
      candidates: [expected],
      usageMetadata,
      modelVersion: "m",
      responseId: "c1",
    });
  }
  throws(() => answerOf({ message: { tool_calls: [{ id: "c", function: { arguments: "{}" } }] } }), isBroken);
  throws(() => begin({}).decodeBody(Buffer.from("{}")), isBroken);
});

function isBroken(error: unknown): boolean {
  return error instanceof ConnectError && findUpstreamError(error)?.retryable === true;
}

test("what a provider wants back comes back to it, and to nobody else", () => {
  const blocks = [{ type: "thinking", thinking: "t", signature: "s" }];
  const extra = { google: { thought_signature: "x" } };
  const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
  const cases: readonly [JsonObject, Partial<ChatUpstream>, JsonObject][] = [
    [{ content: "a", thinking_blocks: blocks }, {}, { thinking_blocks: blocks }],
    [{ content: "a", reasoning_content: "r" }, {}, {}],
    [{ content: "a", reasoning_content: "r" }, { reasoningField: "reasoning_content" }, { reasoning_content: "r" }],
    [
      { content: "a", provider_specific_fields: { content_blocks: blocks, stop_reason: "x" } },
      {},
      { provider_specific_fields: { content_blocks: blocks } },
    ],
    [
      { content: null, tool_calls: [{ ...call, extra_content: extra }], thinking_blocks: blocks },
      {},
      { tool_calls: [{ ...call, extra_content: extra }], thinking_blocks: blocks },
    ],
  ];
  for (const [message, upstream, expected] of cases) {
    const provider = chatProvider(upstream);
    const [candidate] = objectsOf(answerOf({ message }, {}, provider).candidates);
    const content = objectOf(candidate?.content);
    // Clients in Python write bytes in the alphabet for addresses.
    const sent = JSON.parse(JSON.stringify(content).replaceAll("+", "-").replaceAll("/", "_"));
    deepStrictEqual(messagesOf([hi, sent], provider)[1], { role: "assistant", content: message.content, ...expected });
    const other = messagesOf([hi, content], chatProvider(upstream, "other"))[1];
    strictEqual(other?.thinking_blocks, undefined);
    strictEqual(other?.provider_specific_fields, undefined);
    strictEqual(objectsOf(other?.tool_calls)[0]?.extra_content, undefined);
  }
});

const chunk = (delta: JsonObject, finish: string | null = null, index = 0): Uint8Array =>
  dataEvent(JSON.stringify({ id: "c1", model: "m", choices: [{ index, delta, finish_reason: finish }] }));
const toolChunk = (index: number, id: string, name: string, text: string): Uint8Array =>
  chunk({ tool_calls: [{ index, ...(id ? { id } : {}), function: { ...(name ? { name } : {}), arguments: text } }] });

const streamed = [
  chunk({ role: "assistant", content: "" }),
  chunk({ reasoning_content: "Hm" }),
  chunk({ content: "Hé" }),
  chunk({ content: "llo" }),
  chunk({ content: "Other" }, null, 1),
  toolChunk(0, "a", "f", '{"x":'),
  toolChunk(0, "", "", "1}"),
  toolChunk(0, "b", "g", ""),
  chunk({}, "tool_calls"),
  chunk({}, "stop", 1),
  dataEvent(JSON.stringify({ id: "c1", model: "m", choices: [], usage: {} })),
];

test("the stream", () => {
  const exchange = begin({ generationConfig: { thinkingConfig: { includeThoughts: true } } }, { stream: true });
  const during = payloadObjects(exchange.decodeEvents(streamed));
  const head = { modelVersion: "m", responseId: "c1" };
  const event = (part: JsonObject, index = 0) => ({
    candidates: [{ content: { parts: [part], role: "model" }, index }],
    ...head,
  });
  deepStrictEqual(during, [
    event({ text: "Hm", thought: true }),
    event({ text: "Hé" }),
    event({ text: "llo" }),
    event({ text: "Other" }, 1),
  ]);
  const calls = [
    { functionCall: { id: "a", name: "f", args: { x: 1 } } },
    { functionCall: { id: "b", name: "g", args: {} } },
  ];
  deepStrictEqual(payloadObjects(exchange.finish()), [
    {
      candidates: [
        { content: { parts: calls, role: "model" }, finishReason: "STOP", index: 0 },
        { content: { parts: [{ text: "" }], role: "model" }, finishReason: "STOP", index: 1 },
      ],
      usageMetadata,
      ...head,
    },
  ]);
  const nameless = begin({}, { stream: true });
  nameless.decodeEvents([toolChunk(0, "a", "", "{}")]);
  throws(() => nameless.finish(), isBroken);
});

test("any cut of the body gives the same payloads", () => {
  const whole = Buffer.concat(streamed);
  const random = randomNumbers(7);
  const expected = texts(begin({}, { stream: true }).decodeEvents(streamed));
  strictEqual(expected.length, 3);
  for (let run = 0; run < 200; run += 1) {
    const splitter = new SseSplitter();
    const exchange = begin({}, { stream: true });
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < whole.length; ) {
      const end = Math.min(whole.length, at + 1 + Math.floor(random() * (run < 20 ? 3 : 200)));
      payloads.push(...exchange.decodeEvents(splitter.push(whole.subarray(at, end))));
      at = end;
    }
    deepStrictEqual(texts(payloads), expected);
    const closing = payloadObjects(exchange.finish())[0];
    const [first] = objectsOf(closing?.candidates);
    strictEqual(objectsOf(objectOf(first?.content).parts).length, 2);
  }
});

test("every provider with chat completions takes the dialect, and one that has its own keeps it", () => {
  const settings = { vertex_project: "p", api_version: "2024-10-21" };
  const without: string[] = [];
  let tried = 0;
  for (const [id, provider] of providers) {
    const own = { operation: Operation.GENERATE_CONTENT, settings, baseUrl: "https://h.test", credential: undefined };
    const body: JsonObject = { contents: [hi], generationConfig: { maxOutputTokens: 5 } };
    const chat = { messages: [{ role: "user", content: "Hi" }], max_tokens: 5 };
    if (!begins(provider, providerCall(chat, { ...own, operation: Operation.CHAT_COMPLETIONS }))) continue;
    tried += 1;
    if (!begins(provider, providerCall(body, own))) without.push(id);
  }
  deepStrictEqual(without, []);
  ok(tried > 50, `${tried} providers were tried`);
  const provider: Provider = { ...objectOfProvider(), takesGenerateContent: true };
  strictEqual(withGenerateContent(provider), provider);
});

function objectOfProvider(): Provider {
  const found = providers.get("gemini");
  if (found === undefined) throw new Error("there is no gemini");
  return found;
}

function begins(provider: Provider, call: ProviderCall): boolean {
  try {
    return textOf(provider.begin(call).request.method) === "POST";
  } catch {
    return false;
  }
}
