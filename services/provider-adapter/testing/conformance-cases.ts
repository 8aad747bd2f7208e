import type { JsonObject } from "../provider.ts";
import type { AnswerCase, RequestCase, Said } from "./conformance-subject.ts";

const user = { role: "user", content: "What is the weather in Paris?" };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tool = { type: "function", function: { name: "weather", description: "Tells the weather.", parameters } };
const call = (id: string) => ({
  id,
  type: "function",
  function: { name: "weather", arguments: '{"city":"Paris"}' },
});

/** A picture of one point, in base64. */
export const onePoint =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** The schema that answers have to follow in the case `JSON schema`. */
export const skySchema = {
  type: "object",
  properties: { sky: { type: "string" } },
  required: ["sky"],
  additionalProperties: false,
};

/** What a client sends, case by case: bodies of chat completions without a model. */
export const chatRequests: Readonly<Record<RequestCase, JsonObject>> = {
  text: {
    messages: [{ role: "system", content: "Be brief." }, user],
    temperature: 0.5,
    stop: ["END"],
    max_tokens: 100,
  },
  tools: { messages: [user], tools: [tool], tool_choice: "auto" },
  "no tools": { messages: [user], tools: [tool], tool_choice: "none" },
  "a needed tool": { messages: [user], tools: [tool], tool_choice: "required" },
  "a named tool": { messages: [user], tools: [tool], tool_choice: { type: "function", function: { name: "weather" } } },
  "parallel tools": { messages: [user], tools: [tool], parallel_tool_calls: true },
  "tool results": {
    messages: [
      user,
      { role: "assistant", content: null, tool_calls: [call("a"), call("b")] },
      { role: "tool", tool_call_id: "a", content: "sunny" },
      { role: "tool", tool_call_id: "b", content: "rain" },
    ],
    tools: [tool],
  },
  "image in": {
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: `data:image/png;base64,${onePoint}` } },
        ],
      },
    ],
  },
  reasoning: { messages: [user], reasoning_effort: "low" },
  "JSON schema": {
    messages: [user],
    response_format: { type: "json_schema", json_schema: { name: "sky", schema: skySchema, strict: true } },
  },
};

const nothing: Said = { text: "", reasoning: "", calls: [], finish: "stop" };
const weather = (id: string, city: string) => ({ id, name: "weather", input: { city } });

/** What a provider answers, case by case. */
export const answers: Readonly<Record<AnswerCase, Said>> = {
  text: { ...nothing, text: "Sunny \u2600 in “Paris”.\nRather." },
  length: { ...nothing, text: "Sun", finish: "length" },
  "tool call": { ...nothing, text: "I look.", calls: [weather("call_1", "Paris")], finish: "tool_calls" },
  "parallel calls": {
    ...nothing,
    calls: [weather("call_1", "Paris"), weather("call_2", "Rome")],
    finish: "tool_calls",
  },
  reasoning: { ...nothing, reasoning: "Hm. Paris?", text: "Sunny." },
  JSON: { ...nothing, text: '{"sky":"sunny"}' },
};
