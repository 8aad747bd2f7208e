import type { JsonObject } from "../../provider.ts";

/** Headers of Claude Code's calls, beside its key. */
export const claudeCodeHeaders = {
  "anthropic-version": "2023-06-01",
  "anthropic-beta":
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,prompt-caching-scope-2026-01-05",
  "anthropic-dangerous-direct-browser-access": "true",
  "user-agent": "claude-cli/2.1.37 (external, cli)",
  "x-app": "cli",
} as const;

const mark = { type: "ephemeral" };
const schema = (properties: JsonObject): JsonObject => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

const tools: JsonObject[] = [
  {
    name: "Bash",
    description: "Runs a command",
    input_schema: schema({ command: { type: "string" }, timeout: { type: "number", exclusiveMinimum: 0 } }),
    eager_input_streaming: true,
  },
  { name: "mcp__files__read", description: "Reads", input_schema: schema({ path: { type: "string", minLength: 1 } }) },
];

const session: JsonObject = {
  system: [
    { type: "text", text: "x-anthropic-billing-header: cc_version=2.1.37.fbe; cc_entrypoint=cli; cch=0a1b2;" },
    { type: "text", text: "You are Claude Code.", cache_control: mark },
    { type: "text", text: "Be brief.", cache_control: { ...mark, ttl: "1h", scope: "global" } },
  ],
  tools,
  metadata: { user_id: `user_${"a".repeat(64)}_account__session_2f2ae6d5-31a5-4a9d-9c3e-1f6d9c7a6b11` },
  max_tokens: 32_000,
  context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
  stream: true,
};

const asked: JsonObject = {
  role: "user",
  content: [
    { type: "text", text: "<system-reminder>Today is Saturday.</system-reminder>" },
    { type: "text", text: "List the files.", cache_control: mark },
  ],
};

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** Later in a session, behind calls of tools, a failed one, a picture, and a search that Anthropic once ran. */
const continued: JsonObject[] = [
  asked,
  {
    role: "assistant",
    content: [
      { type: "thinking", thinking: "I look.", signature: "" },
      { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "ls" } },
      { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: [] },
      { type: "text", text: "Looking." },
      {
        type: "tool_use",
        id: "toolu_1",
        name: "Bash",
        input: { command: "ls", timeout: 5 },
        caller: { type: "direct" },
      },
      { type: "tool_use", id: "toolu_2", name: "mcp__files__read", input: { path: "a.png" } },
    ],
  },
  {
    role: "user",
    content: [
      { type: "tool_result", tool_use_id: "toolu_1", content: "No such file", is_error: true },
      {
        type: "tool_result",
        tool_use_id: "toolu_2",
        content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: pixel } }],
        cache_control: mark,
      },
    ],
  },
];

/** What Claude Code asks any model, by what it is about. */
export const claudeCodeRequests: Readonly<Record<string, JsonObject>> = {
  "a first turn": { ...session, messages: [asked], thinking: { type: "enabled", budget_tokens: 31_999 } },
  "an adaptive one": {
    ...session,
    messages: [asked],
    thinking: { type: "adaptive" },
    output_config: { effort: "high" },
  },
  "a later turn": {
    ...session,
    messages: continued,
    thinking: { type: "adaptive" },
    tool_choice: { type: "auto", disable_parallel_tool_use: true },
  },
  "tools beside one that Anthropic runs": {
    ...session,
    messages: [asked],
    tools: [...tools, { type: "web_search_20250305", name: "web_search", max_uses: 8 }],
  },
  "a title": {
    model: "",
    max_tokens: 512,
    messages: [{ role: "user", content: "List the files." }],
    system: [{ type: "text", text: "Write a title." }],
    tools: [],
    temperature: 1,
    stop_sequences: ["</title>"],
    metadata: { user_id: "user_1" },
    stream: true,
  },
};

/** A search of the web is a call of its own. */
export const webSearchRequest: JsonObject = {
  max_tokens: 32_000,
  messages: [{ role: "user", content: [{ type: "text", text: "Perform a web search for the query: sluices" }] }],
  system: [{ type: "text", text: "You are an assistant for performing a web search tool use" }],
  tools: [{ type: "web_search_20250305", name: "web_search", max_uses: 8 }],
  tool_choice: { type: "tool", name: "web_search" },
  stream: true,
};
