import type { JsonObject } from "../../provider.ts";
import { onePoint } from "../conformance-cases.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { converseEvent, converseException, eventStreamFrame } from "../event-stream-frames.ts";
import { piecesOf } from "./server-sent-event.ts";

const stopReasons = { stop: "end_turn", length: "max_tokens", tool_calls: "tool_use" } as const;
const usage = {
  inputTokens: saidUsage.input - saidUsage.cached,
  cacheReadInputTokens: saidUsage.cached,
  outputTokens: saidUsage.output,
  totalTokens: saidUsage.input + saidUsage.output,
};

function contentOf(said: Said): JsonObject[] {
  return [
    ...(said.reasoning === ""
      ? []
      : [{ reasoningContent: { reasoningText: { text: said.reasoning, signature: "c2ln" } } }]),
    ...(said.text === "" ? [] : [{ text: said.text }]),
    ...said.calls.map(({ id, name, input }) => ({ toolUse: { toolUseId: id, name, input } })),
  ];
}

function stream(said: Said, ending: StreamEnding): Uint8Array[] {
  const events = [converseEvent("messageStart", { role: "assistant" })];
  let contentBlockIndex = 0;
  const addBlock = (deltas: readonly JsonObject[], start?: JsonObject) => {
    if (start !== undefined) events.push(converseEvent("contentBlockStart", { contentBlockIndex, start }));
    for (const delta of deltas) events.push(converseEvent("contentBlockDelta", { contentBlockIndex, delta }));
    events.push(converseEvent("contentBlockStop", { contentBlockIndex }));
    contentBlockIndex += 1;
  };
  const reasoning = piecesOf(said.reasoning).map((text) => ({ reasoningContent: { text } }));
  if (reasoning.length > 0) addBlock([...reasoning, { reasoningContent: { signature: "c2ln" } }]);
  if (said.text !== "") addBlock(piecesOf(said.text).map((text) => ({ text })));
  for (const { id, name, input } of said.calls) {
    const pieces = piecesOf(JSON.stringify(input)).map((piece) => ({ toolUse: { input: piece } }));
    addBlock(pieces, { toolUse: { toolUseId: id, name } });
  }
  if (ending === "no finish") return events;
  const stop = converseEvent("messageStop", { stopReason: stopReasons[said.finish] });
  const twice = ending === "two finishes" ? [stop] : [];
  return [...events, stop, ...twice, converseEvent("metadata", { usage, metrics: { latencyMs: 9 } })];
}

const spec = { name: "weather", description: "Tells the weather." };
const tools = [{ toolSpec: spec }];
const user = { role: "user", content: [{ text: "What is the weather in Paris?" }] };

/** Bedrock's Converse, https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. */
export const converseWire: Wire = {
  streamType: "application/vnd.amazon.eventstream",
  whole: (said) => ({
    output: { message: { role: "assistant", content: contentOf(said) } },
    stopReason: stopReasons[said.finish],
    usage,
    metrics: { latencyMs: 9 },
  }),
  stream,
  failure: (_, message) => ({ message }),
  failedEvent: (message) => converseException("internalServerException", message),
  unknownEvent: converseEvent("messageNews", { news: true }),
  brokenEvent: eventStreamFrame(
    { ":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event" },
    Buffer.from('{"contentBlockIndex":'),
  ),
  longEvent: (bytes) =>
    converseEvent("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "x".repeat(bytes) } }),
  empty: [{ output: {}, stopReason: "end_turn", usage }, {}],
  metered: [saidUsage.input - saidUsage.cached, saidUsage.cached, saidUsage.output, 0],
  sends: {
    text: {
      system: [{ text: "Be brief." }],
      messages: [user],
      inferenceConfig: { temperature: 0.5, stopSequences: ["END"], maxTokens: 100 },
    },
    tools: { toolConfig: { tools, toolChoice: { auto: {} } } },
    "no tools": { messages: [user] },
    "a needed tool": { toolConfig: { tools, toolChoice: { any: {} } } },
    "a named tool": { toolConfig: { tools, toolChoice: { tool: { name: "weather" } } } },
    "parallel tools": { toolConfig: { tools } },
    "tool results": {
      messages: [
        user,
        {
          role: "assistant",
          content: [
            { toolUse: { toolUseId: "a", name: "weather", input: { city: "Paris" } } },
            { toolUse: { toolUseId: "b", name: "weather", input: { city: "Paris" } } },
          ],
        },
        {
          role: "user",
          content: [
            { toolResult: { toolUseId: "a", content: [{ text: "sunny" }] } },
            { toolResult: { toolUseId: "b", content: [{ text: "rain" }] } },
          ],
        },
      ],
    },
    "image in": {
      messages: [
        {
          role: "user",
          content: [{ text: "What is this?" }, { image: { format: "png", source: { bytes: onePoint } } }],
        },
      ],
    },
    reasoning: { additionalModelRequestFields: { thinking: { type: "enabled", budget_tokens: 1024 } } },
    "JSON schema": { outputConfig: {} },
  },
};
