import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { objectOf, objectsOf } from "../json-reading.ts";
import { providerCall } from "../testing/provider-call.ts";
import type { TranslationSettings } from "../unsupported-parameter.ts";
import { claudeModel } from "./claude-models.ts";
import { chatToMessagesRequest } from "./request.ts";

const hello: JsonObject[] = [{ role: "user", content: "Hi" }];
const weather = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } };
const weatherTool = { name: "get_weather", input_schema: { type: "object", properties: {} } };

function translate(chat: JsonObject, settings: Partial<TranslationSettings> = {}) {
  return chatToMessagesRequest({ messages: hello, ...chat }, providerCall({}, settings));
}

function messagesOf(...messages: JsonObject[]): JsonObject {
  const { body } = translate({ messages });
  return { messages: body.messages ?? null, ...(body.system === undefined ? {} : { system: body.system }) };
}

test("parameters", () => {
  const cases: readonly [string, JsonObject, JsonObject, Partial<TranslationSettings>?][] = [
    ["nothing", {}, {}],
    ["max_tokens", { max_tokens: 5 }, { max_tokens: 5 }],
    ["max_completion_tokens wins", { max_tokens: 5, max_completion_tokens: 7 }, { max_tokens: 7 }],
    ["a cap lowers", { max_tokens: 500 }, { max_tokens: 20 }, { outputTokenCap: 20 }],
    ["a cap never raises", { max_tokens: 5 }, { max_tokens: 5 }, { outputTokenCap: 20 }],
    ["deployment's default", {}, { max_tokens: 9 }, { defaultParams: { max_tokens: 9 } }],
    ["a stream", {}, { stream: true }, { stream: true }],
    ["sampling passes", { temperature: 0.2, top_p: 0.9, top_k: 4 }, { temperature: 0.2, top_p: 0.9, top_k: 4 }],
    ["one stop", { stop: "END" }, { stop_sequences: ["END"] }],
    ["several stops", { stop: ["a", "b"] }, { stop_sequences: ["a", "b"] }],
    ["no stop", { stop: null }, {}],
    ["user", { user: "u1" }, { metadata: { user_id: "u1" } }],
    ["service tier", { service_tier: "default" }, { service_tier: "standard_only" }],
    ["Anthropic's own fields pass", { container: "c", inference_geo: "us" }, { container: "c", inference_geo: "us" }],
    ["new fields pass", { brand_new: [1] }, { brand_new: [1] }],
    ["neutral values ask for nothing", { n: 1, logprobs: false, presence_penalty: 0, seed: null, logit_bias: {} }, {}],
    ["hints go nowhere", { prompt_cache_key: "k", stream_options: { include_usage: true } }, {}],
    ["allowed by the caller", { seed: 4 }, { seed: 4 }, { allowedParams: ["seed"] }],
    ["dropped by the caller", { seed: 4, n: 3, logprobs: true }, {}, { dropParams: true }],
    ["blank stops are droppable", { stop: [" ", "x"] }, { stop_sequences: ["x"] }, { dropParams: true }],
    [
      "sampling is droppable where it is refused",
      { temperature: 0.2 },
      {},
      { model: "claude-opus-4-8", dropParams: true },
    ],
  ];
  for (const [name, chat, expected, settings] of cases) {
    const { body } = translate(chat, settings);
    const model = settings?.model ?? "claude-sonnet-4-5";
    deepStrictEqual(body, { model, max_tokens: 64_000, messages: hello, ...expected }, name);
  }
});

test("what Anthropic cannot do is refused by name", () => {
  const cases: readonly [string, JsonObject][] = [
    ["n", { n: 2 }],
    ["logprobs", { logprobs: true }],
    ["seed", { seed: 1 }],
    ["frequency_penalty", { frequency_penalty: 0.5 }],
    ["modalities", { modalities: ["text", "audio"] }],
    ["service_tier", { service_tier: "flex" }],
    ["reasoning_effort", { reasoning_effort: "enormous" }],
    ["tools", { tools: [{ type: "custom", custom: { name: "x" } }] }],
    ["messages", { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] }],
    ["messages", { messages: [{ role: "robot", content: "x" }] }],
    ["messages", { messages: "x" }],
    ["messages", { messages: ["x"] }],
    ["messages", { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] }],
  ];
  for (const [param, chat] of cases) {
    try {
      translate(chat);
      ok(false, `${param} was accepted`);
    } catch (error) {
      ok(error instanceof ConnectError, String(error));
      const detail = findGatewayError(error);
      deepStrictEqual([detail?.reason, detail?.param], [Reason.INVALID_REQUEST, param]);
    }
  }
});

test("reasoning", () => {
  const cases: readonly [string, JsonObject, JsonObject][] = [
    ["claude-sonnet-4-5", { reasoning_effort: "low" }, { thinking: { type: "enabled", budget_tokens: 1024 } }],
    ["claude-3-7-sonnet-latest", { reasoning_effort: "high" }, { thinking: { type: "enabled", budget_tokens: 4096 } }],
    [
      "claude-opus-4-5",
      { reasoning_effort: "high", max_tokens: 2000 },
      { thinking: { type: "enabled", budget_tokens: 1999 } },
    ],
    ["claude-opus-4-5", { reasoning_effort: "high", max_tokens: 500 }, {}],
    [
      "claude-opus-4-6",
      { reasoning_effort: "xhigh" },
      { thinking: { type: "adaptive" }, output_config: { effort: "max" } },
    ],
    [
      "claude-opus-4-8",
      { reasoning_effort: { effort: "minimal" } },
      { thinking: { type: "adaptive", display: "summarized" }, output_config: { effort: "low" } },
    ],
    ["claude-opus-4-8", { reasoning_effort: "none" }, {}],
    ["claude-sonnet-5", { reasoning_effort: "none" }, { thinking: { type: "disabled" } }],
    ["claude-opus-5-5", { reasoning_effort: "none" }, { output_config: { effort: "low" } }],
    [
      "claude-opus-4-8",
      { thinking: { type: "adaptive" }, reasoning_effort: "low" },
      { thinking: { type: "adaptive" } },
    ],
  ];
  for (const [model, chat, expected] of cases) {
    const { thinking, output_config } = translate(chat, { model }).body;
    deepStrictEqual(
      JSON.parse(JSON.stringify({ thinking, output_config })),
      expected,
      `${model} ${JSON.stringify(chat)}`,
    );
  }
  const calls = [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }];
  const inLoop = [
    ...hello,
    { role: "assistant", tool_calls: calls },
    { role: "tool", tool_call_id: "c", content: "1" },
  ];
  strictEqual(translate({ messages: inLoop, reasoning_effort: "low" }).body.thinking, undefined);
});

test("generations of Claude are told by their version", () => {
  const cases: readonly [string, number, string, boolean][] = [
    ["claude-3-haiku-20240307", 4096, "none", false],
    ["claude-3-5-sonnet-20241022", 8192, "none", false],
    ["claude-3-7-sonnet-20250219", 32_000, "budget", false],
    ["claude-opus-4-20250514", 32_000, "budget", false],
    ["claude-opus-4-1-20250805", 32_000, "budget", false],
    ["claude-haiku-4-5-20251001", 64_000, "budget", true],
    ["claude-opus-4.6", 64_000, "adaptive", true],
    ["claude-mythos-preview", 64_000, "adaptive", true],
    ["claude-fable-5", 64_000, "adaptive", true],
    ["anthropic.claude-sonnet-4-5-20250929-v1:0", 64_000, "budget", true],
    ["kimi-k2", 8192, "budget", false],
  ];
  for (const [name, maxTokens, thinking, structured] of cases) {
    const model = claudeModel(name);
    deepStrictEqual(
      [model.defaultMaxTokens, model.thinking, model.structuredOutputs],
      [maxTokens, thinking, structured],
      name,
    );
  }
});

test("tools and their choice", () => {
  const none = { type: "function", function: { name: "f" } };
  const marked = { ...weather, cache_control: { type: "ephemeral" }, defer_loading: true };
  const search = { type: "web_search_20250305", name: "web_search" };
  const allowed = { type: "allowed_tools", allowed_tools: { mode: "required", tools: [none] } };
  const cases: readonly [string, JsonObject, JsonValue, JsonValue?][] = [
    ["a function", { tools: [weather] }, [weatherTool]],
    ["no parameters", { tools: [none] }, [{ name: "f", input_schema: { type: "object", properties: {} } }]],
    ["marks", { tools: [marked] }, [{ ...weatherTool, cache_control: { type: "ephemeral" }, defer_loading: true }]],
    ["Anthropic's own", { tools: [search] }, [search]],
    ["auto", { tools: [weather], tool_choice: "auto" }, [weatherTool], { type: "auto" }],
    ["none", { tools: [weather], tool_choice: "none", parallel_tool_calls: false }, [weatherTool], { type: "none" }],
    ["required", { tools: [weather], tool_choice: "required" }, [weatherTool], { type: "any" }],
    [
      "named",
      { tools: [weather], tool_choice: { type: "function", function: { name: "x" } } },
      [weatherTool],
      { type: "tool", name: "x" },
    ],
    [
      "one at a time",
      { tools: [weather], parallel_tool_calls: false },
      [weatherTool],
      { type: "auto", disable_parallel_tool_use: true },
    ],
    ["parallel is the default", { tools: [weather], parallel_tool_calls: true }, [weatherTool]],
    [
      "allowed",
      { tools: [weather, none], tool_choice: allowed },
      [{ name: "f", input_schema: { type: "object", properties: {} } }],
      { type: "any" },
    ],
    [
      "legacy",
      { functions: [weather.function], function_call: { name: "get_weather" } },
      [weatherTool],
      { type: "tool", name: "get_weather", disable_parallel_tool_use: true },
    ],
    ["web search", { web_search_options: { search_context_size: "low" } }, [{ ...search, max_uses: 1 }]],
  ];
  for (const [name, chat, tools, choice] of cases) {
    const { body } = translate(chat);
    deepStrictEqual(body.tools, tools, name);
    deepStrictEqual(body.tool_choice, choice, name);
  }
  const strict = { type: "function", function: { ...weather.function, strict: true } };
  strictEqual(objectsOf(translate({ tools: [strict] }).body.tools)[0]?.strict, true);
  strictEqual(objectsOf(translate({ tools: [strict] }, { model: "claude-3-opus" }).body.tools)[0]?.strict, undefined);
});

test("answers in JSON", () => {
  const schema = {
    type: "object",
    properties: {
      age: { type: "integer", minimum: 0, description: "Years" },
      tags: { type: "array", items: { oneOf: [{ type: "string" }] } },
    },
  };
  const response_format = { type: "json_schema", json_schema: { name: "person", schema, strict: true } };
  deepStrictEqual(translate({ response_format }).body.output_config, {
    format: {
      type: "json_schema",
      schema: {
        type: "object",
        properties: {
          age: { type: "integer", description: "Years\n\n{minimum: 0}" },
          tags: { type: "array", items: { anyOf: [{ type: "string" }] } },
        },
        additionalProperties: false,
      },
    },
  });
  const old = translate({ response_format }, { model: "claude-3-opus" });
  deepStrictEqual(objectsOf(old.body.tools)[0]?.input_schema, schema);
  deepStrictEqual(old.body.tool_choice, { type: "tool", name: "json_tool_call" });
  strictEqual(old.shape.jsonTool, true);
  const free = { response_format: { type: "json_object" } };
  deepStrictEqual(translate({ ...free, tools: [weather] }).body.tool_choice, { type: "any" });
  deepStrictEqual(translate({ ...free, reasoning_effort: "low" }).body.tool_choice, { type: "auto" });
  deepStrictEqual(translate(free, { model: "claude-sonnet-5" }).body.tool_choice, { type: "auto" });
  strictEqual(translate({ response_format: { type: "text" } }).body.tools, undefined);
});

test("instructions and turns", () => {
  const mark = { type: "ephemeral" };
  deepStrictEqual(messagesOf({ role: "system", content: "Be brief." }, ...hello), {
    system: "Be brief.",
    messages: hello,
  });
  deepStrictEqual(
    messagesOf({ role: "system", content: [{ type: "text", text: "A", cache_control: mark }] }, ...hello, {
      role: "developer",
      content: "B",
    }),
    {
      system: [
        { type: "text", text: "A", cache_control: mark },
        { type: "text", text: "B" },
      ],
      messages: hello,
    },
  );
  deepStrictEqual(messagesOf({ role: "system", content: "Only this" }), {
    messages: [{ role: "user", content: [{ type: "text", text: "Only this" }] }],
  });
  deepStrictEqual(
    messagesOf(...hello, { role: "assistant", content: "" }, { role: "user", content: "More", cache_control: mark }),
    {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "Hi" },
            { type: "text", text: "More", cache_control: mark },
          ],
        },
      ],
    },
  );
  deepStrictEqual(messagesOf(...hello, { role: "assistant", content: "Prefill \n" }), {
    messages: [...hello, { role: "assistant", content: "Prefill" }],
  });
});

test("content parts", () => {
  const pdf = { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBE" };
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBO" } };
  const cases: readonly [JsonObject, JsonObject][] = [
    [
      { type: "image_url", image_url: { url: "https://h/a.png", detail: "low" } },
      { type: "image", source: { type: "url", url: "https://h/a.png" } },
    ],
    [
      { type: "image_url", image_url: "data:image/png;base64,iVBO", cache_control: {} },
      { ...image, cache_control: {} },
    ],
    [
      { type: "file", file: pdf },
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: "JVBE" }, title: "a.pdf" },
    ],
    [
      { type: "file", file: { file_data: "data:text/plain,a%20b" } },
      { type: "document", source: { type: "text", media_type: "text/plain", data: "a b" } },
    ],
    [{ type: "file", file: { file_data: "data:image/png;base64,iVBO" } }, image],
    [
      { type: "file", file: { file_id: "file_1" } },
      { type: "document", source: { type: "file", file_id: "file_1" } },
    ],
    [
      { type: "search_result", source: "s", title: "t" },
      { type: "search_result", source: "s", title: "t" },
    ],
    [
      { type: "text", text: "x", citations: { enabled: true } },
      { type: "text", text: "x", citations: { enabled: true } },
    ],
  ];
  for (const [part, block] of cases) {
    const { body } = translate({ messages: [{ role: "user", content: [{ type: "text", text: "" }, part] }] });
    deepStrictEqual(objectsOf(body.messages)[0]?.content, [block]);
  }
  const { betas } = translate({
    messages: [{ role: "user", content: [{ type: "file", file: { file_id: "file_1" } }] }],
  });
  deepStrictEqual(betas, ["files-api-2025-04-14"]);
});

test("tool calls and results", () => {
  const call = (id: string, text: string) => ({ id, type: "function", function: { name: "f", arguments: text } });
  const result = (id: string, content: JsonValue) => ({ role: "tool", tool_call_id: id, content });
  const image = { type: "image_url", image_url: { url: "https://h/a.png" } };
  const { messages } = messagesOf(
    ...hello,
    { role: "assistant", content: null, tool_calls: [call("a|1", '{"x":1}'), call("b", ""), call("c", '{"x":')] },
    result("a|1", '{"ok":true}'),
    result("b", [{ type: "text", text: "see" }, image]),
    result("c", ""),
    { role: "user", content: "Go on" },
  );
  deepStrictEqual(objectsOf(messages).slice(1), [
    {
      role: "assistant",
      content: [
        { type: "tool_use", id: "a_1", name: "f", input: { x: 1 } },
        { type: "tool_use", id: "b", name: "f", input: {} },
        { type: "tool_use", id: "c", name: "f", input: { invalid_arguments: '{"x":' } },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "a_1", content: '{"ok":true}' },
        {
          type: "tool_result",
          tool_use_id: "b",
          content: [
            { type: "text", text: "see" },
            { type: "image", source: { type: "url", url: "https://h/a.png" } },
          ],
        },
        { type: "tool_result", tool_use_id: "c", content: "" },
        { type: "text", text: "Go on" },
      ],
    },
  ]);
  const legacy = messagesOf(
    ...hello,
    { role: "assistant", content: "", function_call: { name: "f", arguments: "{}" } },
    { role: "function", name: "f", content: "1" },
  );
  const [, asked, answered] = objectsOf(legacy.messages);
  strictEqual(objectsOf(asked?.content)[0]?.id, objectsOf(answered?.content)[0]?.tool_use_id);
});

test("thinking goes back with its signature, and only then", () => {
  const signed = { type: "thinking", thinking: "Hm", signature: "s" };
  const redacted = { type: "redacted_thinking", data: "d" };
  const unsigned = { type: "thinking", thinking: "Hm" };
  const { messages } = messagesOf(...hello, {
    role: "assistant",
    content: "Yes",
    reasoning_content: "Hm",
    thinking_blocks: [signed, redacted, unsigned],
  });
  deepStrictEqual(objectOf(objectsOf(messages)[1]).content, [signed, redacted, { type: "text", text: "Yes" }]);
});
