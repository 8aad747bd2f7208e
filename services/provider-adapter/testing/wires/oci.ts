import type { JsonObject } from "../../provider.ts";
import { onePoint, skySchema } from "../conformance-cases.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf, sseEvent } from "./server-sent-event.ts";

const usage = {
  promptTokens: saidUsage.input,
  completionTokens: saidUsage.output,
  totalTokens: saidUsage.input + saidUsage.output,
  promptTokensDetails: { cachedTokens: saidUsage.cached },
  completionTokensDetails: { reasoningTokens: saidUsage.reasoning },
};
const metered = [saidUsage.input - saidUsage.cached, saidUsage.cached, saidUsage.output, saidUsage.reasoning] as const;
const finishCount = { "no finish": 0, complete: 1, "two finishes": 2 } as const;
const textContent = (text: string): JsonObject[] => [{ type: "TEXT", text }];

function genericCalls({ calls }: Said): JsonObject[] {
  return calls.map(({ id, name, input }) => ({ type: "FUNCTION", id, name, arguments: JSON.stringify(input) }));
}

function genericStream(said: Said, ending: StreamEnding): Uint8Array[] {
  const part = (message: JsonObject) => sseEvent({ index: 0, message: { role: "ASSISTANT", ...message }, pad: "aa" });
  const events = [
    ...piecesOf(said.reasoning).map((reasoningContent) => part({ reasoningContent })),
    ...piecesOf(said.text).map((text) => part({ content: textContent(text) })),
    ...genericCalls(said).map((call) => part({ toolCalls: [call] })),
    ...Array.from({ length: finishCount[ending] }, () => sseEvent({ index: 0, finishReason: said.finish })),
  ];
  return ending === "no finish" ? events : [...events, sseEvent({ usage })];
}

const user = { role: "USER", content: textContent("What is the weather in Paris?") };
const tools = [{ type: "FUNCTION", name: "weather", description: "Tells the weather." }];
const call = (id: string) => ({ type: "FUNCTION", id, name: "weather", arguments: '{"city":"Paris"}' });
const choice = (type: string) => ({ chatRequest: { tools, toolChoice: { type } } });
const image = { type: "IMAGE", imageUrl: { url: `data:image/png;base64,${onePoint}` } };

/** Oracle's format for every model but Cohere's, https://docs.oracle.com/en-us/iaas/api/#/en/generative-ai-inference/. */
export const ociGenericWire: Wire = {
  streamType: "text/event-stream",
  whole(said, model) {
    const message: JsonObject = { role: "ASSISTANT", content: textContent(said.text) };
    if (said.reasoning !== "") message.reasoningContent = said.reasoning;
    if (said.calls.length > 0) message.toolCalls = genericCalls(said);
    const choices = [{ index: 0, message, finishReason: said.finish }];
    return { modelId: model, chatResponse: { apiFormat: "GENERIC", choices, usage } };
  },
  stream: genericStream,
  failure: (status, message) => ({ code: String(status), message }),
  failedEvent: (message) => sseEvent({ code: "500", message }),
  unknownEvent: sseEvent({ news: true }),
  brokenEvent: Buffer.from('data: {"index":0,"message":\n\n'),
  longEvent: (bytes) => sseEvent({ index: 0, message: { content: textContent("x".repeat(bytes)) } }),
  empty: [{ chatResponse: { apiFormat: "GENERIC", choices: [], usage } }, { chatResponse: {} }, {}],
  metered,
  sends: {
    text: {
      chatRequest: {
        apiFormat: "GENERIC",
        messages: [{ role: "SYSTEM", content: textContent("Be brief.") }, user],
        temperature: 0.5,
        stop: ["END"],
        maxTokens: 100,
      },
    },
    tools: choice("AUTO"),
    "no tools": choice("NONE"),
    "a needed tool": choice("REQUIRED"),
    "a named tool": { chatRequest: { tools, toolChoice: { type: "FUNCTION", name: "weather" } } },
    "parallel tools": { chatRequest: { tools, isParallelToolCalls: true } },
    "tool results": {
      chatRequest: {
        messages: [
          user,
          { role: "ASSISTANT", content: null, toolCalls: [call("a"), call("b")] },
          { role: "TOOL", toolCallId: "a", content: textContent("sunny") },
          { role: "TOOL", toolCallId: "b", content: textContent("rain") },
        ],
        tools,
      },
    },
    "image in": { chatRequest: { messages: [{ role: "USER", content: [...textContent("What is this?"), image] }] } },
    reasoning: { chatRequest: { reasoningEffort: "LOW" } },
    "JSON schema": {
      chatRequest: {
        responseFormat: { type: "JSON_SCHEMA", jsonSchema: { name: "sky", schema: skySchema, isStrict: true } },
      },
    },
  },
};

const cohereReasons = { stop: "COMPLETE", length: "MAX_TOKENS", tool_calls: "COMPLETE" } as const;

function cohereCalls({ calls }: Said): JsonObject[] {
  return calls.map(({ name, input }) => ({ name, parameters: input }));
}

function cohereAnswer(said: Said): JsonObject {
  const { text, finish } = said;
  const answer: JsonObject = { apiFormat: "COHERE", text, finishReason: cohereReasons[finish], usage };
  return said.calls.length === 0 ? answer : { ...answer, toolCalls: cohereCalls(said) };
}

function cohereStream(said: Said, ending: StreamEnding): Uint8Array[] {
  const calls = cohereCalls(said);
  return [
    ...piecesOf(said.text).map((text) => sseEvent({ apiFormat: "COHERE", text, pad: "aa" })),
    ...(calls.length > 0 ? [sseEvent({ apiFormat: "COHERE", toolCalls: calls })] : []),
    ...Array.from({ length: finishCount[ending] }, () => sseEvent(cohereAnswer(said))),
  ];
}

const cohereTools = [
  { name: "weather", parameterDefinitions: { city: { type: "str", description: "", isRequired: true } } },
];
const cohereCall = { name: "weather", parameters: { city: "Paris" } };
const asked = "What is the weather in Paris?";

/** Oracle's format for Cohere's models. */
export const ociCohereWire: Wire = {
  ...ociGenericWire,
  whole: (said, model) => ({ modelId: model, chatResponse: cohereAnswer(said) }),
  stream: cohereStream,
  failedEvent: (message) => sseEvent({ apiFormat: "COHERE", finishReason: "ERROR", errorMessage: message }),
  longEvent: (bytes) => sseEvent({ apiFormat: "COHERE", text: "x".repeat(bytes) }),
  empty: [{ chatResponse: { apiFormat: "COHERE" } }, { chatResponse: {} }, {}],
  sends: {
    ...ociGenericWire.sends,
    text: {
      chatRequest: {
        apiFormat: "COHERE",
        message: asked,
        preambleOverride: "Be brief.",
        temperature: 0.5,
        stopSequences: ["END"],
        maxTokens: 100,
      },
    },
    tools: { chatRequest: { message: asked, tools: cohereTools } },
    "no tools": { chatRequest: { message: asked } },
    "parallel tools": { chatRequest: { message: asked, tools: cohereTools } },
    "tool results": {
      chatRequest: {
        message: "",
        chatHistory: [
          { role: "USER", message: asked },
          { role: "CHATBOT", toolCalls: [cohereCall, cohereCall] },
        ],
        toolResults: [
          { call: cohereCall, outputs: [{ result: "sunny" }] },
          { call: cohereCall, outputs: [{ result: "rain" }] },
        ],
        tools: cohereTools,
      },
    },
    "JSON schema": { chatRequest: { responseFormat: { type: "JSON_OBJECT", schema: skySchema } } },
  },
};
