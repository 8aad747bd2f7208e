import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { objectOf } from "../json-reading.ts";
import type { TranslationSettings } from "../unsupported-parameter.ts";
import { geminiSchema } from "./json-schema.ts";
import { chatToGeminiRequest } from "./request.ts";

const user: JsonObject = { role: "user", content: "Hi" };
const lostSignature = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

function translate(chat: JsonObject, changes: Partial<TranslationSettings> = {}): JsonObject {
  const settings: TranslationSettings = {
    model: "gemini-2.5-flash",
    stream: false,
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    ...changes,
  };
  return chatToGeminiRequest({ messages: [user], ...chat }, settings).body;
}

const contentsOf = (messages: JsonValue[], model = "gemini-2.5-flash") => translate({ messages }, { model }).contents;
const partOf = (part: JsonObject) => contentsOf([{ role: "user", content: [part] }]);
const configOf = (chat: JsonObject, changes: Partial<TranslationSettings> = {}) =>
  objectOf(translate(chat, changes).generationConfig);

/** The parameter that a call is refused for; undefined where it is not refused. */
function refusedParam(chat: JsonObject, changes: Partial<TranslationSettings> = {}): string | undefined {
  try {
    translate(chat, changes);
    return undefined;
  } catch (error) {
    return error instanceof ConnectError ? findGatewayError(error)?.param : "no gateway error";
  }
}

test("messages", () => {
  const body = translate({
    messages: [
      { role: "system", content: "Be brief." },
      user,
      { role: "assistant", content: "Hello" },
      { role: "developer", content: [{ type: "text", text: "Be kind." }] },
      { role: "user", content: "A" },
      { role: "user", content: [{ type: "text", text: "B" }, ""] },
    ],
  });
  deepStrictEqual(body, {
    contents: [
      { role: "user", parts: [{ text: "Hi" }] },
      { role: "model", parts: [{ text: "Hello" }] },
      { role: "user", parts: [{ text: "A" }, { text: "B" }] },
    ],
    systemInstruction: { parts: [{ text: "Be brief." }, { text: "Be kind." }] },
  });
  deepStrictEqual(contentsOf([{ role: "system", content: "Alone" }]), [{ role: "user", parts: [{ text: "Alone" }] }]);
  for (const messages of ["x", [1], [{ role: "robot" }]]) strictEqual(refusedParam({ messages }), "messages");
});

const call = (id: string, name: string, text: string, rest: JsonObject = {}): JsonObject => ({
  id,
  type: "function",
  function: { name, arguments: text },
  ...rest,
});

test("tool calls and their results", () => {
  const messages = [
    user,
    { role: "assistant", content: null, tool_calls: [call("a", "f", '{"x":1}'), call("b", "g", "broken")] },
    { role: "tool", tool_call_id: "a", content: '{"y":2}' },
    { role: "tool", tool_call_id: "b", content: "plain" },
    user,
  ];
  deepStrictEqual(contentsOf(messages), [
    { role: "user", parts: [{ text: "Hi" }] },
    {
      role: "model",
      parts: [
        { functionCall: { name: "f", args: { x: 1 }, id: "a" } },
        { functionCall: { name: "g", args: { invalid_arguments: "broken" }, id: "b" } },
      ],
    },
    {
      role: "user",
      parts: [
        { functionResponse: { name: "f", response: { y: 2 }, id: "a" } },
        { functionResponse: { name: "g", response: { output: "plain" }, id: "b" } },
      ],
    },
    { role: "user", parts: [{ text: "Hi" }] },
  ]);
  strictEqual(refusedParam({ messages: [user, { role: "tool", tool_call_id: "?", content: "x" }] }), "messages");
});

test("signatures go back, and are stood in for where Gemini 3 wants one", () => {
  const signed = (fields: JsonObject) => [user, { role: "assistant", tool_calls: [call("a", "f", "{}", fields)] }];
  const part = (thoughtSignature: string) => [
    { role: "user", parts: [{ text: "Hi" }] },
    { role: "model", parts: [{ functionCall: { name: "f", args: {}, id: "a" }, thoughtSignature }] },
  ];
  const own = { provider_specific_fields: { thought_signature: "c2ln" } };
  deepStrictEqual(contentsOf(signed(own)), part("c2ln"));
  deepStrictEqual(contentsOf(signed({ extra_content: { google: { thought_signature: "c2ln" } } })), part("c2ln"));
  deepStrictEqual(contentsOf(signed({}), "gemini-3-pro-preview"), part(lostSignature));
});

test("a tool's image stands in its result, or behind it where the model takes none there", () => {
  const messages: JsonObject[] = [
    { role: "assistant", tool_calls: [call("a", "f", "{}")] },
    {
      role: "tool",
      tool_call_id: "a",
      content: [{ type: "image_url", image_url: { url: "data:image/png;base64,aQ==" } }],
    },
  ];
  const image = { inlineData: { mimeType: "image/png", data: "aQ==" } };
  const result = { name: "f", response: { output: "" }, id: "a" };
  deepStrictEqual(contentsOf(messages), [
    { role: "model", parts: [{ functionCall: { name: "f", args: {}, id: "a" } }] },
    { role: "user", parts: [{ functionResponse: result }] },
    { role: "user", parts: [image] },
  ]);
  deepStrictEqual(contentsOf(messages, "gemini-3-flash-preview"), [
    {
      role: "model",
      parts: [{ functionCall: { name: "f", args: {}, id: "a" }, thoughtSignature: lostSignature }],
    },
    { role: "user", parts: [{ functionResponse: { ...result, parts: [image] } }] },
  ]);
});

test("content parts", () => {
  const inline = (mimeType: string, data: string) => ({ inlineData: { mimeType, data } });
  const file = (mimeType: string, fileUri: string) => ({ fileData: { mimeType, fileUri } });
  const image = (url: string, rest: JsonObject = {}) => ({ type: "image_url", image_url: { url, ...rest } });
  const cases: readonly [JsonObject, JsonObject][] = [
    [image("data:image/webp;base64,aQ=="), inline("image/webp", "aQ==")],
    [image("https://x.test/a.PNG?b=1"), file("image/png", "https://x.test/a.PNG?b=1")],
    [image("https://x.test/a"), file("image/jpeg", "https://x.test/a")],
    [image("data:image/jpg;base64,AA=="), { inlineData: { mimeType: "image/jpeg", data: "AA==" } }],
    [image("gs://b/a", { format: "image/gif" }), file("image/gif", "gs://b/a")],
    [{ type: "video_url", video_url: { url: "https://youtu.be/x" } }, file("video/mp4", "https://youtu.be/x")],
    [{ type: "input_audio", input_audio: { data: "aQ==", format: "mp3" } }, inline("audio/mpeg", "aQ==")],
    [{ type: "input_audio", input_audio: { data: "aQ==", format: "opus" } }, inline("audio/opus", "aQ==")],
    [{ type: "file", file: { file_data: "data:text/plain,a%20b" } }, inline("text/plain", "YSBi")],
    [{ type: "file", file: { file_data: "aQ==", filename: "a.csv" } }, inline("text/csv", "aQ==")],
    [
      { type: "file", file: { file_id: "files/a" } },
      file("application/pdf", "https://generativelanguage.googleapis.com/v1beta/files/a"),
    ],
    [{ type: "file", file: { file_id: "https://x.test/a.mp4" } }, file("video/mp4", "https://x.test/a.mp4")],
    [{ fileData: { fileUri: "u" } }, { fileData: { fileUri: "u" } }],
  ];
  for (const [part, expected] of cases) deepStrictEqual(partOf(part), [{ role: "user", parts: [expected] }]);
  const bad: readonly JsonObject[] = [image(""), image("data:x"), { type: "file", file: {} }, { type: "hologram" }];
  for (const part of bad) strictEqual(refusedParam({ messages: [{ role: "user", content: [part] }] }), "messages");
});

test("parameters", () => {
  const cases: readonly [JsonObject, JsonObject][] = [
    [
      { temperature: 0, top_p: 0.5, top_k: 3, seed: 7 },
      { temperature: 0, topP: 0.5, topK: 3, seed: 7 },
    ],
    [{ max_tokens: 5 }, { maxOutputTokens: 5 }],
    [{ max_completion_tokens: 6, max_tokens: 5 }, { maxOutputTokens: 6 }],
    [{ n: 1, stop: "a" }, { stopSequences: ["a"] }],
    [
      { n: 2, stop: ["a", "b"] },
      { candidateCount: 2, stopSequences: ["a", "b"] },
    ],
    [
      { logprobs: true, top_logprobs: 3 },
      { responseLogprobs: true, logprobs: 3 },
    ],
    [
      { frequency_penalty: 1, presence_penalty: 0 },
      { presencePenalty: 0, frequencyPenalty: 1 },
    ],
    [{ response_format: { type: "json_object" } }, { responseMimeType: "application/json" }],
    [{ response_format: { type: "text" } }, {}],
    [{ modalities: ["text", "image"] }, { responseModalities: ["TEXT", "IMAGE"] }],
    [
      { modalities: ["text", "audio"], audio: { voice: "Kore", format: "pcm16" } },
      {
        responseModalities: ["AUDIO"],
        speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: "Kore" } } },
      },
    ],
    [{ generationConfig: { topK: 9 }, top_k: 1 }, { topK: 9 }],
    [{ user: "u", metadata: {}, parallel_tool_calls: false, store: false, temperature: null }, {}],
  ];
  for (const [chat, expected] of cases) deepStrictEqual(configOf(chat), expected);
  deepStrictEqual(configOf({ max_tokens: 50 }, { outputTokenCap: 20 }), { maxOutputTokens: 20 });
  deepStrictEqual(configOf({}, { outputTokenCap: 20, defaultParams: { max_tokens: 9 } }), { maxOutputTokens: 9 });
  deepStrictEqual(translate({ safety_settings: [], labels: { a: "b" } }).safetySettings, []);
});

test("what Gemini has no word for is refused, dropped or passed on", () => {
  const refused: JsonObject = { logit_bias: { 1: 1 }, prediction: {}, store: true, verbosity: "low" };
  for (const [name, value] of Object.entries(refused)) {
    strictEqual(refusedParam({ [name]: value }), name);
    strictEqual(translate({ [name]: value }, { dropParams: true })[name], undefined);
    deepStrictEqual(translate({ [name]: value }, { allowedParams: [name] })[name], value);
  }
});

test("reasoning", () => {
  const cases: readonly [string, JsonObject, JsonObject | undefined][] = [
    ["gemini-2.5-flash", { reasoning_effort: "low" }, { thinkingBudget: 1024, includeThoughts: true }],
    ["gemini-2.5-flash", { reasoning_effort: "minimal" }, { thinkingBudget: 128, includeThoughts: true }],
    ["gemini-2.5-flash-lite", { reasoning_effort: "minimal" }, { thinkingBudget: 512, includeThoughts: true }],
    ["gemini-2.5-flash", { reasoning_effort: "none" }, { thinkingBudget: 0, includeThoughts: false }],
    ["gemini-2.5-pro", { reasoning_effort: "none" }, { thinkingBudget: 128, includeThoughts: false }],
    ["gemini-3-pro-preview", { reasoning_effort: "xhigh" }, { thinkingLevel: "high", includeThoughts: true }],
    ["gemini-3-pro-preview", { reasoning_effort: "none" }, { thinkingLevel: "low", includeThoughts: false }],
    ["gemini-3-flash-preview", { reasoning_effort: "minimal" }, { thinkingLevel: "minimal", includeThoughts: true }],
    ["gemini-2.0-flash", { reasoning_effort: "none" }, undefined],
    [
      "gemini-2.5-flash",
      { thinking: { type: "enabled", budget_tokens: 77 } },
      { thinkingBudget: 77, includeThoughts: true },
    ],
    ["gemini-2.5-flash", { thinking: { type: "disabled" } }, { thinkingBudget: 0, includeThoughts: false }],
    ["gemini-2.5-flash", {}, undefined],
  ];
  for (const [model, chat, expected] of cases) deepStrictEqual(configOf(chat, { model }).thinkingConfig, expected);
  strictEqual(refusedParam({ reasoning_effort: "high" }, { model: "gemini-2.0-flash" }), "reasoning_effort");
  strictEqual(refusedParam({ reasoning_effort: "toString" }), "reasoning_effort");
});

const tool = (name: string): JsonObject => ({ type: "function", function: { name } });

test("tools and their choice", () => {
  const parameters = { type: "object", properties: { a: { type: "string", pattern: "x" } }, $schema: "s" };
  const described = { type: "function", function: { name: "f", description: "d", parameters, strict: true } };
  const own: JsonObject[] = [{ codeExecution: {} }, { type: "web_search_preview" }];
  deepStrictEqual(translate({ tools: [described, ...own] }).tools, [
    {
      functionDeclarations: [
        {
          name: "f",
          description: "d",
          parametersJsonSchema: {
            type: "object",
            properties: { a: { type: "string", description: '{pattern: "x"}' } },
          },
        },
      ],
    },
    { codeExecution: {} },
    { googleSearch: {} },
  ]);
  const named = { type: "function", function: { name: "g" } };
  const cases: readonly [JsonValue, JsonObject][] = [
    ["auto", { mode: "AUTO" }],
    ["none", { mode: "NONE" }],
    ["required", { mode: "ANY" }],
    [named, { mode: "ANY", allowedFunctionNames: ["g"] }],
    [{ type: "allowed_tools", allowed_tools: { mode: "required", tools: [named] } }, { mode: "ANY" }],
  ];
  for (const [choice, expected] of cases) {
    const { toolConfig } = translate({ tools: [tool("f"), tool("g")], tool_choice: choice });
    deepStrictEqual(toolConfig, { functionCallingConfig: expected });
  }
  strictEqual(refusedParam({ tools: [tool("f"), tool("g")], parallel_tool_calls: false }), "parallel_tool_calls");
  strictEqual(refusedParam({ tools: [tool("f")], parallel_tool_calls: false }), undefined);
  strictEqual(refusedParam({ tools: [{ type: "custom", custom: {} }] }), "tools");
  deepStrictEqual(translate({ web_search_options: {} }).tools, [{ googleSearch: {} }]);
});

test("a schema is fitted", () => {
  const cases: readonly [JsonObject, JsonObject][] = [
    [{ const: 1 }, { enum: [1] }],
    [{ oneOf: [{ type: "string" }, { const: "a" }] }, { anyOf: [{ type: "string" }, { enum: ["a"] }] }],
    [
      { definitions: { a: { type: "string" } }, $ref: "#/definitions/a" },
      { $defs: { a: { type: "string" } }, $ref: "#/$defs/a" },
    ],
    [{ allOf: [{ type: "string" }] }, { type: "string" }],
    [
      { additionalProperties: false, type: ["string", "null"] },
      { additionalProperties: false, type: ["string", "null"] },
    ],
    [{ description: "d", default: 1 }, { description: "d\n\n{default: 1}" }],
    [{ properties: { default: { type: "string" } } }, { properties: { default: { type: "string" } } }],
  ];
  for (const [schema, expected] of cases) deepStrictEqual(geminiSchema(schema), expected);
});
