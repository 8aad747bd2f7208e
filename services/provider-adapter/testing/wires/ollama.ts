import type { JsonObject } from "../../provider.ts";
import { onePoint, skySchema } from "../conformance-cases.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf } from "./server-sent-event.ts";

const doneReasons = { stop: "stop", length: "length", tool_calls: "stop" } as const;
const counts = { prompt_eval_count: saidUsage.input, eval_count: saidUsage.output };
const line = (value: JsonObject) => Buffer.from(`${JSON.stringify(value)}\n`);

function head(model: string): JsonObject {
  return { model, created_at: "2026-01-01T00:00:00Z" };
}

function toolCalls({ calls }: Said): JsonObject[] {
  return calls.map(({ id, name, input }) => ({ id, function: { name, arguments: input } }));
}

function stream(said: Said, ending: StreamEnding, model: string): Uint8Array[] {
  const part = (fields: JsonObject) =>
    line({ ...head(model), message: { role: "assistant", content: "", ...fields }, done: false });
  const events = [
    ...piecesOf(said.reasoning).map((thinking) => part({ thinking })),
    ...piecesOf(said.text).map((content) => part({ content })),
    ...toolCalls(said).map((call) => part({ tool_calls: [call] })),
  ];
  if (ending === "no finish") return events;
  const message = { role: "assistant", content: "" };
  const closing = line({ ...head(model), message, done: true, done_reason: doneReasons[said.finish], ...counts });
  return [...events, closing, ...(ending === "two finishes" ? [closing] : [])];
}

const tools = [{ type: "function", function: { name: "weather", description: "Tells the weather." } }];
const user = { role: "user", content: "What is the weather in Paris?" };
const call = { function: { name: "weather", arguments: { city: "Paris" } } };

/** Ollama's own chat, https://docs.ollama.com/api/chat. */
export const ollamaWire: Wire = {
  streamType: "application/x-ndjson",
  whole(said, model) {
    const message: JsonObject = { role: "assistant", content: said.text };
    if (said.reasoning !== "") message.thinking = said.reasoning;
    if (said.calls.length > 0) message.tool_calls = toolCalls(said);
    return { ...head(model), message, done: true, done_reason: doneReasons[said.finish], ...counts };
  },
  stream,
  failure: (_, message) => ({ error: message }),
  failedEvent: (message) => line({ error: message }),
  unknownEvent: undefined,
  brokenEvent: Buffer.from('{"message":{"role":\n'),
  longEvent: (bytes) => line({ ...head("m"), message: { role: "assistant", content: "x".repeat(bytes) }, done: false }),
  empty: [{ ...head("m"), done: true, ...counts }, {}],
  metered: [saidUsage.input, 0, saidUsage.output, 0],
  sends: {
    text: {
      messages: [{ role: "system", content: "Be brief." }, user],
      options: { temperature: 0.5, stop: ["END"], num_predict: 100 },
    },
    tools: { tools },
    "no tools": { messages: [user] },
    "a needed tool": { tools },
    "a named tool": { tools },
    "parallel tools": { tools },
    "tool results": {
      messages: [
        user,
        { role: "assistant", tool_calls: [call, call] },
        { role: "tool", content: "sunny" },
        { role: "tool", content: "rain" },
      ],
      tools,
    },
    "image in": { messages: [{ role: "user", content: "What is this?", images: [onePoint] }] },
    reasoning: { think: true },
    "JSON schema": { format: skySchema },
  },
};
