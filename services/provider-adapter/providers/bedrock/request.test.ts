import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { objectOf, objectsOf } from "../../translate/json-reading.ts";
import { providerCall } from "../../translate/testing/provider-call.ts";
import { bedrockModel } from "./bedrock-model.ts";
import { chatToConverse, messagesToConverse } from "./request.ts";

const sonnet = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const haiku = "anthropic.claude-haiku-4-5-20251001-v1:0";
const nova = "amazon.nova-lite-v1:0";
const llama = "meta.llama3-2-1b-instruct-v1:0";
const hello: JsonObject[] = [{ role: "user", content: "Hello" }];

function converse(chat: JsonObject, model = sonnet, changes: Partial<ProviderCall> = {}) {
  const settings = providerCall({}, { model, ...changes });
  return chatToConverse({ messages: hello, ...chat }, bedrockModel(model), settings);
}

function bodyOf(chat: JsonObject, model = sonnet, changes: Partial<ProviderCall> = {}): JsonObject {
  return converse(chat, model, changes).body;
}

function contentOf(...parts: readonly JsonValue[]): JsonValue | undefined {
  return objectsOf(bodyOf({ messages: [{ role: "user", content: [...parts] }] }).messages)[0]?.content;
}

test("text, system, limits", () => {
  deepStrictEqual(bodyOf({}), { messages: [{ role: "user", content: [{ text: "Hello" }] }] });
  const chat: JsonObject = {
    messages: [{ role: "system", content: "Be brief" }, ...hello, { role: "developer", content: "Now" }],
    max_tokens: 50,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 3,
    stop: "END",
    user: "u",
    metadata: { a: "b" },
    service_tier: "priority",
    guardrailConfig: { guardrailIdentifier: "g" },
    new_parameter: 1,
  };
  deepStrictEqual(bodyOf(chat, sonnet, { outputTokenCap: 20, defaultParams: { top_p: 0.1, seen: true } }), {
    messages: [{ role: "user", content: [{ text: "Hello" }] }],
    system: [{ text: "Be brief" }, { text: "Now" }],
    inferenceConfig: { maxTokens: 20, temperature: 0.5, topP: 0.9, stopSequences: ["END"] },
    serviceTier: { type: "priority" },
    guardrailConfig: { guardrailIdentifier: "g" },
    additionalModelRequestFields: { seen: true, new_parameter: 1, top_k: 3 },
  });
  deepStrictEqual(bodyOf({ top_k: 3 }, nova).additionalModelRequestFields, { inferenceConfig: { topK: 3 } });
  deepStrictEqual(bodyOf({}, nova, { outputTokenCap: 9 }).inferenceConfig, { maxTokens: 9 });
});

test("parameters without a counterpart are refused by name, dropped, or passed as allowed", () => {
  const idle = { n: 1, logit_bias: {}, frequency_penalty: 0, logprobs: false, seed: null };
  deepStrictEqual(bodyOf(idle), bodyOf({}));
  const refused: JsonObject = { n: 2, seed: 1, logprobs: true, audio: {}, verbosity: "low", web_search_options: {} };
  for (const [name, value] of Object.entries(refused)) {
    throws(() => bodyOf({ [name]: value }), new RegExp(name === "web_search_options" ? "searches" : name));
    deepStrictEqual(bodyOf({ [name]: value }, sonnet, { dropParams: true }), bodyOf({}));
  }
  const allowed = bodyOf({ seed: 1 }, sonnet, { allowedParams: ["seed"] });
  deepStrictEqual(allowed.additionalModelRequestFields, { seed: 1 });
  throws(() => bodyOf({ messages: [{ role: "user", content: [{ type: "input_audio" }] }] }), /input_audio/);
  throws(() => bodyOf({ tools: [{ type: "custom", custom: { name: "f" } }] }), /free-form/);
});

test("images and documents", () => {
  const png = { type: "image_url", image_url: { url: "data:image/png;base64,iVBO" } };
  const pdf = { type: "file", file: { filename: "My file_v1.pdf", file_data: "data:application/pdf;base64,JVBE" } };
  const bytes = (data: string) => ({ source: { bytes: data } });
  deepStrictEqual(contentOf({ type: "text", text: " " }, { type: "text", text: "See" }, png, pdf, pdf), [
    { text: "See" },
    { image: { format: "png", ...bytes("iVBO") } },
    { document: { format: "pdf", ...bytes("JVBE"), name: "My file-v1" } },
    { document: { format: "pdf", ...bytes("JVBE"), name: "My file-v1 (2)" } },
  ]);
  const text = { type: "file", file: { file_data: "data:text/plain,a%20b" } };
  deepStrictEqual(contentOf(text), [
    { text: "See the attached document." },
    { document: { format: "txt", ...bytes(Buffer.from("a b").toString("base64")), name: "document" } },
  ]);
  deepStrictEqual(contentOf({ type: "image_url", image_url: "data:image/jpg;base64,AAAA" }), [
    { image: { format: "jpeg", ...bytes("AAAA") } },
  ]);
  deepStrictEqual(contentOf({ type: "image_url", image_url: { url: "s3://bucket/a.jpg" } }), [
    { image: { format: "jpeg", source: { s3Location: { uri: "s3://bucket/a.jpg" } } } },
  ]);
  deepStrictEqual(contentOf({ type: "guarded_text", text: "x" }, { video: { format: "mp4", source: {} } }), [
    { guardContent: { text: { text: "x" } } },
    { video: { format: "mp4", source: {} } },
  ]);
  throws(() => contentOf({ type: "image_url", image_url: { url: "https://h/a.png" } }), /base64/);
  throws(() => contentOf({ type: "strange", value: 1 }), /'strange'/);
});

test("tool calls and results; thinking goes back with its signature", () => {
  const call = (id: string, name: string, text: string) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  });
  const body = bodyOf({
    messages: [
      ...hello,
      {
        role: "assistant",
        content: " ",
        thinking_blocks: [
          { type: "thinking", thinking: "Hm", signature: "s" },
          { type: "thinking", thinking: "unsigned" },
          { type: "redacted_thinking", data: "d" },
        ],
        tool_calls: [call("a|1", "f", '{"x":1}'), call("b", "g", "")],
      },
      { role: "tool", tool_call_id: "a|1", content: '{"ok":true}' },
      { role: "tool", tool_call_id: "b", content: "", is_error: true },
      { role: "user", content: "Go on" },
    ],
  });
  deepStrictEqual(objectsOf(body.messages).slice(1), [
    {
      role: "assistant",
      content: [
        { reasoningContent: { reasoningText: { text: "Hm", signature: "s" } } },
        { reasoningContent: { redactedContent: "d" } },
        { toolUse: { toolUseId: "a_1", name: "f", input: { x: 1 } } },
        { toolUse: { toolUseId: "b", name: "g", input: {} } },
      ],
    },
    {
      role: "user",
      content: [
        { toolResult: { toolUseId: "a_1", content: [{ text: '{"ok":true}' }] } },
        { toolResult: { toolUseId: "b", content: [{ text: "(no output)" }], status: "error" } },
        { text: "Go on" },
      ],
    },
  ]);
  // A conversation with calls needs tools, whatever the client sent.
  const names = objectsOf(objectOf(body.toolConfig).tools).map(({ toolSpec }) => objectOf(toolSpec).name);
  deepStrictEqual(names, ["f", "g"]);
});

const weather = {
  type: "function",
  function: { name: "weather", description: "Tells", parameters: { type: "object", properties: {} } },
};
const spec = {
  toolSpec: {
    name: "weather",
    inputSchema: { json: { type: "object", properties: {} } },
    description: "Tells",
  },
};

test("tools and their choice", () => {
  const cases: readonly [JsonValue, JsonObject | undefined][] = [
    [null, { tools: [spec] }],
    ["auto", { tools: [spec], toolChoice: { auto: {} } }],
    ["required", { tools: [spec], toolChoice: { any: {} } }],
    [
      { type: "function", function: { name: "weather" } },
      { tools: [spec], toolChoice: { tool: { name: "weather" } } },
    ],
    ["none", undefined],
  ];
  for (const [choice, expected] of cases) {
    deepStrictEqual(bodyOf({ tools: [weather], tool_choice: choice }).toolConfig, expected);
  }
  const single = bodyOf({ tools: [weather], parallel_tool_calls: false });
  deepStrictEqual(single.toolConfig, { tools: [spec] });
  const choice = { type: "auto", disable_parallel_tool_use: true };
  deepStrictEqual(single.additionalModelRequestFields, { tool_choice: choice });
  throws(() => bodyOf({ tools: [weather], parallel_tool_calls: false }, nova), /parallel/);
  const called = [
    ...hello,
    { role: "assistant", tool_calls: [{ id: "a", function: { name: "weather", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "a", content: "Sun" },
  ];
  const none = bodyOf({ messages: called, tools: [weather], tool_choice: "none" });
  deepStrictEqual(none.toolConfig, { tools: [spec] });
  deepStrictEqual(none.additionalModelRequestFields, { tool_choice: { type: "none" } });
  throws(() => bodyOf({ messages: called, tools: [weather], tool_choice: "none" }, nova), /'none'/);
  const marked = bodyOf({ tools: [{ ...weather, cache_control: { type: "ephemeral", ttl: "1h" } }] });
  deepStrictEqual(objectOf(marked.toolConfig).tools, [spec, { cachePoint: { type: "default", ttl: "1h" } }]);
  const grounded = bodyOf({ web_search_options: {} }, nova);
  deepStrictEqual(objectOf(grounded.toolConfig).tools, [{ systemTool: { name: "nova_grounding" } }]);
  const bash = { type: "bash_20250124", name: "bash" };
  deepStrictEqual(bodyOf({ tools: [bash] }).additionalModelRequestFields, { tools: [bash] });
  throws(() => bodyOf({ tools: [bash] }, nova), /bash_20250124/);
});

test("cache points stand behind what is marked, where the model takes them", () => {
  const mark = { type: "ephemeral" };
  const messages: JsonObject[] = [
    { role: "system", content: [{ type: "text", text: "Be brief", cache_control: mark }] },
    { role: "user", content: "Hello", cache_control: mark },
  ];
  const point = { cachePoint: { type: "default" } };
  for (const model of [sonnet, nova]) {
    const body = bodyOf({ messages }, model);
    deepStrictEqual(body.system, [{ text: "Be brief" }, point]);
    deepStrictEqual(objectsOf(body.messages)[0]?.content, [{ text: "Hello" }, point]);
  }
  deepStrictEqual(bodyOf({ messages }, llama).system, [{ text: "Be brief" }]);
  const tools = [{ ...weather, cache_control: mark }];
  deepStrictEqual(objectOf(bodyOf({ tools }, nova).toolConfig).tools, [spec]);
});

test("reasoning in the words of the model's family", () => {
  const cases: readonly [string, string, JsonObject | undefined][] = [
    [sonnet, "low", { thinking: { type: "enabled", budget_tokens: 1024 } }],
    [sonnet, "none", undefined],
    ["us.amazon.nova-2-lite-v1:0", "minimal", { reasoningConfig: { type: "enabled", maxReasoningEffort: "low" } }],
    ["openai.gpt-oss-20b-1:0", "high", { reasoning_effort: "high" }],
    ["qwen.qwen3-32b-v1:0", "medium", { reasoning_config: "medium" }],
  ];
  for (const [model, effort, expected] of cases) {
    deepStrictEqual(bodyOf({ reasoning_effort: effort }, model).additionalModelRequestFields, expected, model);
  }
  strictEqual(objectOf(bodyOf({ reasoning_effort: "low" }).inferenceConfig).maxTokens, 32_000);
  throws(() => bodyOf({ reasoning_effort: "low" }, llama), /reason/);
  const adaptive = bodyOf({ reasoning_effort: "high" }, "global.anthropic.claude-opus-4-6-v1");
  deepStrictEqual(adaptive.additionalModelRequestFields, {
    thinking: { type: "adaptive" },
    output_config: { effort: "high" },
  });
});

test("JSON answers", () => {
  const schema = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
  const format = { type: "json_schema", json_schema: { name: "answer", schema } };
  const native = converse({ response_format: format }, haiku);
  strictEqual(native.shape.jsonTool, false);
  deepStrictEqual(native.body.outputConfig, {
    textFormat: {
      type: "json_schema",
      structure: {
        jsonSchema: { name: "answer", schema: JSON.stringify({ ...schema, additionalProperties: false }) },
      },
    },
  });
  const forced = converse({ response_format: format }, nova);
  strictEqual(forced.shape.jsonTool, true);
  deepStrictEqual(objectOf(forced.body.toolConfig).toolChoice, { tool: { name: "json_tool_call" } });
  strictEqual(objectOf(converse({ response_format: format }, llama).body.toolConfig).toolChoice, undefined);
  strictEqual(converse({ response_format: { type: "json_object" } }, haiku).shape.jsonTool, true);
  const thinking = bodyOf({ response_format: { type: "json_object" }, reasoning_effort: "low" });
  deepStrictEqual(objectOf(thinking.toolConfig).toolChoice, { auto: {} });
});

test("a Messages request", () => {
  const settings = providerCall({}, { model: haiku, stream: true });
  const body = messagesToConverse(
    {
      model: "group",
      max_tokens: 3000,
      stream: true,
      system: [{ type: "text", text: "Be brief", cache_control: { type: "ephemeral" } }],
      messages: [
        { role: "user", content: "Hello" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "Hm", signature: "s" },
            { type: "tool_use", id: "t", name: "f", input: { a: 1 } },
          ],
        },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: "t", content: [{ type: "text", text: "1" }], is_error: false }],
        },
      ],
      tools: [{ name: "f", input_schema: { type: "object" } }],
      tool_choice: { type: "any" },
      thinking: { type: "enabled", budget_tokens: 2000 },
      output_config: { format: { type: "json_schema", schema: { type: "object" } }, effort: "low" },
      metadata: { user_id: "u" },
      top_k: 4,
    },
    bedrockModel(haiku),
    settings,
  );
  deepStrictEqual(body, {
    messages: [
      { role: "user", content: [{ text: "Hello" }] },
      {
        role: "assistant",
        content: [
          { reasoningContent: { reasoningText: { text: "Hm", signature: "s" } } },
          { toolUse: { toolUseId: "t", name: "f", input: { a: 1 } } },
        ],
      },
      { role: "user", content: [{ toolResult: { toolUseId: "t", content: [{ text: "1" }] } }] },
    ],
    system: [{ text: "Be brief" }, { cachePoint: { type: "default" } }],
    inferenceConfig: { maxTokens: 3000 },
    toolConfig: {
      tools: [{ toolSpec: { name: "f", inputSchema: { json: { type: "object" } } } }],
      toolChoice: { any: {} },
    },
    outputConfig: {
      textFormat: {
        type: "json_schema",
        structure: { jsonSchema: { name: "answer", schema: '{"type":"object"}' } },
      },
    },
    additionalModelRequestFields: {
      thinking: { type: "enabled", budget_tokens: 2000 },
      output_config: { effort: "low" },
      top_k: 4,
    },
  });
  throws(() => messagesToConverse({ messages: [], mcp_servers: [{}] }, bedrockModel(haiku), settings), /mcp_servers/);
});

test("a system message in the middle keeps its place", () => {
  const messages = ["user", "assistant", "system"].map((role) => ({ role, content: role }));
  const body = messagesToConverse({ messages, max_tokens: 1 }, bedrockModel(haiku), providerCall({}, { model: haiku }));
  const turns = [
    ["user", "user"],
    ["assistant", "assistant"],
    ["user", "system"],
  ];
  deepStrictEqual(
    body.messages,
    turns.map(([role, text]) => ({ role, content: [{ text }] })),
  );
});

test("names of models", () => {
  const profile = "arn:aws:bedrock:eu-west-3:123456789012:application-inference-profile/abc";
  const imported = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc";
  const cases: readonly [name: string, id: string, region: string, api: string, format: string][] = [
    ["anthropic.claude-v2", "anthropic.claude-v2", "", "", "claude-text"],
    ["converse/us.amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0", "", "converse", "nova"],
    ["invoke/us.anthropic.claude-opus-4-6-v1", "us.anthropic.claude-opus-4-6-v1", "", "invoke", "messages"],
    ["eu-west-1/meta.llama3-8b-v1:0", "meta.llama3-8b-v1:0", "eu-west-1", "", "llama"],
    ["us-gov-west-1/converse/a.b", "a.b", "us-gov-west-1", "converse", "openai"],
    [
      "invoke/us-east-1/mistral.mistral-7b-instruct-v0:2",
      "mistral.mistral-7b-instruct-v0:2",
      "us-east-1",
      "invoke",
      "mistral",
    ],
    ["amazon.titan-tg1-large", "amazon.titan-tg1-large", "", "invoke", "titan"],
    [`llama/${imported}`, imported, "us-east-1", "invoke", "llama"],
    [`deepseek_r1/${imported}`, imported, "us-east-1", "invoke", "deepseek"],
    [`qwen3/${imported}`, imported, "us-east-1", "invoke", "qwen"],
    [`openai/${imported}`, imported, "us-east-1", "invoke", "openai"],
    [`nova-2/${imported}`, imported, "us-east-1", "", "nova"],
    [profile, profile, "eu-west-3", "", "openai"],
  ];
  for (const [name, ...expected] of cases) {
    const { id, region, api, format } = bedrockModel(name);
    deepStrictEqual([id, region, api, format], expected, name);
  }
  deepStrictEqual(
    [bedrockModel(`nova/${imported}`).family, bedrockModel(`nova-2/${imported}`).reasonsByLevel],
    ["nova", true],
  );
  for (const name of ["", "converse/", "invoke/", "agent/x/y", "agentcore/x"])
    throws(() => bedrockModel(name), /bedrock\/<model id>/);
});
