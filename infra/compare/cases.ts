import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import { answers, chatRequests, onePoint } from "../../services/provider-adapter/testing/conformance-cases.ts";
import type { Said } from "../../services/provider-adapter/testing/conformance-subject.ts";

/** One request, the same for every provider and both gateways, and what the provider does then. */
export interface CompareCase {
  readonly name: string;
  /** A chat completion without a model. */
  readonly body: JsonObject;
  readonly said: Said;
  /** The provider fails with this status. */
  readonly status?: number;
  /** The stream breaks off with an error of the provider's. */
  readonly failsInStream?: true;
}

const user = { role: "user", content: "What is the weather in Paris?" };
const { tools = [] } = chatRequests.tools;
const call = (id: string, input: string) => ({ id, type: "function", function: { name: "weather", arguments: input } });
const chat = (...messages: JsonObject[]): JsonObject => ({ messages });
const called = (...calls: JsonObject[]) => ({ role: "assistant", content: null, tool_calls: calls });

const strictTools: JsonValue = [
  {
    type: "function",
    function: {
      name: "weather",
      strict: true,
      parameters: {
        type: "object",
        properties: {
          city: { type: ["string", "null"] },
          unit: { enum: ["C", "F"] },
          days: { type: "integer", minimum: 1 },
        },
        required: ["city", "unit", "days"],
        additionalProperties: false,
      },
    },
  },
];

const png = { type: "image_url", image_url: { url: `data:image/png;base64,${onePoint}`, detail: "low" } };
const pdf = Buffer.from("%PDF-1.4\n%%EOF\n").toString("base64");
const file = { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${pdf}` } };
const question = { type: "text", text: "What is this?" };
const one = chat(user);

/** Further requests, each with what it is about. */
const requests: Readonly<Record<string, JsonObject>> = {
  ...chatRequests,
  "one message": one,
  "several turns": chat(user, { role: "assistant", content: "Sunny." }, { role: "user", content: "And tomorrow?" }),
  "two user messages": chat(user, { role: "user", content: "In May." }),
  "two system messages": chat({ role: "system", content: "Be brief." }, { role: "system", content: "Be kind." }, user),
  "a system message behind": chat(user, { role: "system", content: "Be brief." }),
  "a developer's message": chat({ role: "developer", content: "Be brief." }, user),
  "content in parts": chat({ role: "user", content: [question, { type: "text", text: "Tell me." }] }),
  "an empty answer before": chat(user, { role: "assistant", content: "" }, { role: "user", content: "Well?" }),
  "the answer's beginning": chat(user, { role: "assistant", content: "It is" }),
  max_completion_tokens: { ...one, max_completion_tokens: 50 },
  top_p: { ...one, top_p: 0.5 },
  "temperature 0": { ...one, temperature: 0 },
  "temperature above 1": { ...one, temperature: 1.5 },
  "several stops": { ...one, stop: ["END", "FIN"] },
  seed: { ...one, seed: 7 },
  penalties: { ...one, frequency_penalty: 0.5, presence_penalty: 0.5 },
  "n of 1": { ...one, n: 1 },
  "n of 2": { ...one, n: 2 },
  user: { ...one, user: "somebody" },
  logprobs: { ...one, logprobs: true, top_logprobs: 2 },
  top_k: { ...one, top_k: 5 },
  "an unknown field": { ...one, brand_new_field: { a: 1 } },
  "one tool at a time": { ...one, tools, parallel_tool_calls: false },
  "a tool without parameters": { ...one, tools: [{ type: "function", function: { name: "now" } }] },
  "a strict tool": { ...one, tools: strictTools },
  "a tool result in parts": {
    ...chat(user, called(call("a", "{}")), {
      role: "tool",
      tool_call_id: "a",
      content: [{ type: "text", text: "sunny" }],
    }),
    tools,
  },
  "a tool result and a question": {
    ...chat(
      user,
      called(call("a", '{"city":"Paris"}')),
      { role: "tool", tool_call_id: "a", content: "sunny" },
      {
        role: "user",
        content: "Thanks. And Rome?",
      },
    ),
    tools,
  },
  "words before a call": {
    ...chat(
      user,
      { ...called(call("a", "{}")), content: "I look." },
      { role: "tool", tool_call_id: "a", content: "sunny" },
    ),
    tools,
  },
  "tool results without tools": chat(user, called(call("a", "{}")), {
    role: "tool",
    tool_call_id: "a",
    content: "sunny",
  }),
  "JSON mode": { ...chat({ role: "user", content: "Answer in JSON." }), response_format: { type: "json_object" } },
  "plain text asked for": { ...one, response_format: { type: "text" } },
  "two images": chat({ role: "user", content: [png, png, question] }),
  "a PDF": chat({ role: "user", content: [question, file] }),
  "much reasoning": { ...one, reasoning_effort: "high" },
  "no reasoning": { ...one, reasoning_effort: "none" },
  "reasoning and a limit": { ...one, reasoning_effort: "medium", max_tokens: 4096 },
  "Anthropic's thinking": { ...one, thinking: { type: "enabled", budget_tokens: 2000 }, max_tokens: 4096 },
  "a cache mark": chat(
    {
      role: "system",
      content: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
    },
    user,
  ),
  "thinking sent back": {
    ...chat(
      user,
      {
        ...called(call("a", '{"city":"Paris"}')),
        reasoning_content: "Hm.",
        thinking_blocks: [{ type: "thinking", thinking: "Hm.", signature: "c2ln" }],
      },
      { role: "tool", tool_call_id: "a", content: "sunny" },
    ),
    tools,
  },
};

/** Every case. `address` is where a picture can be fetched. */
export function compareCases(address: string): CompareCase[] {
  const { text, reasoning } = answers;
  const byAddress = chat({ role: "user", content: [question, { type: "image_url", image_url: { url: address } }] });
  const asked = Object.entries({ ...requests, "image by address": byAddress }).map(([name, body]) => ({
    name: `request: ${name}`,
    body,
    said: text,
  }));
  const answered = Object.entries(answers).flatMap(([name, said]) => {
    const body = said.calls.length > 0 ? chatRequests.tools : said === reasoning ? chatRequests.reasoning : chat(user);
    const usage = { stream_options: { include_usage: true } };
    return [
      { name: `answer: ${name}`, body, said },
      { name: `stream: ${name}`, body: { ...body, stream: true }, said },
      { name: `stream with usage: ${name}`, body: { ...body, stream: true, ...usage }, said },
    ];
  });
  const failed = [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529].flatMap((status) =>
    [false, true].map((stream) => ({
      name: `failure: ${status}${stream ? " of a stream" : ""}`,
      body: { ...chat(user), ...(stream ? { stream } : {}) },
      said: text,
      status,
    })),
  );
  const broken = { name: "failure: in a stream", body: { ...chat(user), stream: true }, said: text };
  return [...asked, ...answered, ...failed, { ...broken, failsInStream: true }];
}
