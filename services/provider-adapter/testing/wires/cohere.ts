import type { JsonObject } from "../../provider.ts";
import { onePoint, skySchema } from "../conformance-cases.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf, sseEvent } from "./server-sent-event.ts";

const finishReasons = { stop: "COMPLETE", length: "MAX_TOKENS", tool_calls: "TOOL_CALL" } as const;
const usage = {
  billed_units: { input_tokens: saidUsage.input, output_tokens: saidUsage.output },
  tokens: { input_tokens: saidUsage.input, output_tokens: saidUsage.output },
  cached_tokens: saidUsage.cached,
};
const event = (data: JsonObject) => sseEvent(data, String(data.type));

function messageOf(said: Said): JsonObject {
  const message: JsonObject = { role: "assistant" };
  const content: JsonObject[] = [];
  if (said.reasoning !== "") content.push({ type: "thinking", thinking: said.reasoning });
  if (said.text !== "") content.push({ type: "text", text: said.text });
  if (content.length > 0) message.content = content;
  if (said.calls.length > 0) {
    message.tool_calls = said.calls.map(({ id, name, input }) => ({
      id,
      type: "function",
      function: { name, arguments: JSON.stringify(input) },
    }));
  }
  return message;
}

function contentEvents(index: number, type: "text" | "thinking", text: string): Uint8Array[] {
  const delta = (content: JsonObject) => ({ message: { content } });
  return [
    event({ type: "content-start", index, delta: delta({ type, [type]: "" }) }),
    ...piecesOf(text).map((piece) => event({ type: "content-delta", index, delta: delta({ [type]: piece }) })),
    event({ type: "content-end", index }),
  ];
}

function callEvents(index: number, { id, name, input }: Said["calls"][number]): Uint8Array[] {
  const delta = (calls: JsonObject) => ({ message: { tool_calls: calls } });
  const start = { id, type: "function", function: { name, arguments: "" } };
  return [
    event({ type: "tool-call-start", index, delta: delta(start) }),
    ...piecesOf(JSON.stringify(input)).map((piece) =>
      event({ type: "tool-call-delta", index, delta: delta({ function: { arguments: piece } }) }),
    ),
    event({ type: "tool-call-end", index }),
  ];
}

function stream(said: Said, ending: StreamEnding): Uint8Array[] {
  const message = { role: "assistant", content: [], tool_plan: "", tool_calls: [], citations: [] };
  const events = [
    event({ type: "message-start", id: "chat-1", delta: { message } }),
    ...(said.reasoning === "" ? [] : contentEvents(0, "thinking", said.reasoning)),
    ...(said.text === "" ? [] : contentEvents(1, "text", said.text)),
    ...said.calls.flatMap((call, index) => callEvents(index, call)),
  ];
  if (ending === "no finish") return events;
  const closing = event({ type: "message-end", delta: { finish_reason: finishReasons[said.finish], usage } });
  return [...events, closing, ...(ending === "two finishes" ? [closing] : []), Buffer.from("data: [DONE]\n\n")];
}

const tools = [{ type: "function", function: { name: "weather", description: "Tells the weather." } }];
const user = { role: "user", content: "What is the weather in Paris?" };
const call = (id: string) => ({ id, type: "function", function: { name: "weather", arguments: '{"city":"Paris"}' } });

/** Cohere's chat of version 2, https://docs.cohere.com/reference/chat. */
export const cohereWire: Wire = {
  streamType: "text/event-stream",
  whole: (said) => ({ id: "chat-1", message: messageOf(said), finish_reason: finishReasons[said.finish], usage }),
  stream,
  failure: (_, message) => ({ id: "error-1", message }),
  failedEvent: (message) => event({ type: "message-end", delta: { error: message, finish_reason: "ERROR", usage } }),
  unknownEvent: event({ type: "message-news", news: true }),
  brokenEvent: Buffer.from('event: content-delta\ndata: {"type":"content-delta","index":\n\n'),
  longEvent: (bytes) =>
    event({ type: "content-delta", index: 1, delta: { message: { content: { text: "x".repeat(bytes) } } } }),
  empty: [{ id: "chat-1", finish_reason: "COMPLETE", usage }, {}],
  metered: [saidUsage.input, 0, saidUsage.output, 0],
  sends: {
    text: {
      messages: [{ role: "system", content: "Be brief." }, user],
      temperature: 0.5,
      stop_sequences: ["END"],
      max_tokens: 100,
    },
    tools: { tools },
    "no tools": { tools, tool_choice: "NONE" },
    "a needed tool": { tools, tool_choice: "REQUIRED" },
    "a named tool": { tools, tool_choice: "REQUIRED" },
    "parallel tools": { tools },
    "tool results": {
      messages: [
        user,
        { role: "assistant", tool_calls: [call("a"), call("b")] },
        { role: "tool", tool_call_id: "a" },
        { role: "tool", tool_call_id: "b" },
      ],
      tools,
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
    reasoning: { thinking: { type: "enabled", token_budget: 1024 } },
    "JSON schema": { response_format: { type: "json_object", json_schema: skySchema } },
  },
};
