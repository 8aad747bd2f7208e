import type { JsonObject } from "../../provider.ts";
import { onePoint, skySchema } from "../conformance-cases.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf, sseEvent } from "./server-sent-event.ts";

const stopReasons = { stop: "end_turn", length: "max_tokens", tool_calls: "tool_use" } as const;
const inputUsage = {
  input_tokens: saidUsage.input - saidUsage.cached,
  cache_read_input_tokens: saidUsage.cached,
  cache_creation_input_tokens: 0,
};
const event = (data: JsonObject) => sseEvent(data, String(data.type));

function head(model: string): JsonObject {
  return { id: "msg_1", type: "message", role: "assistant", model, stop_sequence: null };
}

/** A block as it begins, the deltas that fill it, and what it is at its end. */
interface Block {
  readonly start: JsonObject;
  readonly deltas: readonly JsonObject[];
  readonly whole: JsonObject;
}

function blocksOf(said: Said): Block[] {
  const blocks: Block[] = [];
  if (said.reasoning !== "") {
    blocks.push({
      start: { type: "thinking", thinking: "", signature: "" },
      deltas: [
        ...piecesOf(said.reasoning).map((thinking) => ({ type: "thinking_delta", thinking })),
        { type: "signature_delta", signature: "c2ln" },
      ],
      whole: { type: "thinking", thinking: said.reasoning, signature: "c2ln" },
    });
  }
  if (said.text !== "") {
    blocks.push({
      start: { type: "text", text: "" },
      deltas: piecesOf(said.text).map((text) => ({ type: "text_delta", text })),
      whole: { type: "text", text: said.text },
    });
  }
  for (const { id, name, input } of said.calls) {
    blocks.push({
      start: { type: "tool_use", id, name, input: {} },
      deltas: piecesOf(JSON.stringify(input)).map((json) => ({ type: "input_json_delta", partial_json: json })),
      whole: { type: "tool_use", id, name, input },
    });
  }
  return blocks;
}

function stream(said: Said, ending: StreamEnding, model: string): Uint8Array[] {
  const usage = { ...inputUsage, output_tokens: 1 };
  const events = [event({ type: "message_start", message: { ...head(model), content: [], stop_reason: null, usage } })];
  for (const [index, { start, deltas }] of blocksOf(said).entries()) {
    events.push(event({ type: "content_block_start", index, content_block: start }), event({ type: "ping" }));
    for (const delta of deltas) events.push(event({ type: "content_block_delta", index, delta }));
    events.push(event({ type: "content_block_stop", index }));
  }
  if (ending === "no finish") return events;
  const closing = event({
    type: "message_delta",
    delta: { stop_reason: stopReasons[said.finish], stop_sequence: null },
    usage: { output_tokens: saidUsage.output },
  });
  const stop = event({ type: "message_stop" });
  return [...events, closing, stop, ...(ending === "two finishes" ? [closing, stop] : [])];
}

const tools = [
  { name: "weather", description: "Tells the weather.", input_schema: { properties: { city: { type: "string" } } } },
];

/** Anthropic's Messages API, https://docs.claude.com/en/api/messages. */
export const anthropicWire: Wire = {
  streamType: "text/event-stream",
  whole: (said, model) => ({
    ...head(model),
    content: blocksOf(said).map(({ whole }) => whole),
    stop_reason: stopReasons[said.finish],
    usage: { ...inputUsage, output_tokens: saidUsage.output },
  }),
  stream,
  failure: (_, message) => ({ type: "error", error: { type: "some_error", message } }),
  failedEvent: (message) => event({ type: "error", error: { type: "overloaded_error", message } }),
  unknownEvent: event({ type: "message_news", news: true }),
  brokenEvent: Buffer.from('event: content_block_delta\ndata: {"type":"content_block_delta","index":\n\n'),
  longEvent: (bytes) =>
    event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "x".repeat(bytes) } }),
  empty: [{ ...head("m") }, {}],
  metered: [saidUsage.input - saidUsage.cached, saidUsage.cached, saidUsage.output, 0],
  sends: {
    text: {
      system: "Be brief.",
      messages: [{ role: "user", content: "What is the weather in Paris?" }],
      temperature: 0.5,
      stop_sequences: ["END"],
      max_tokens: 100,
    },
    tools: { tools, tool_choice: { type: "auto" } },
    "no tools": { tools, tool_choice: { type: "none" } },
    "a needed tool": { tools, tool_choice: { type: "any" } },
    "a named tool": { tools, tool_choice: { type: "tool", name: "weather" } },
    "parallel tools": { tools },
    "tool results": {
      messages: [
        { role: "user" },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "a", name: "weather", input: { city: "Paris" } },
            { type: "tool_use", id: "b", name: "weather", input: { city: "Paris" } },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "a", content: "sunny" },
            { type: "tool_result", tool_use_id: "b", content: "rain" },
          ],
        },
      ],
      tools,
    },
    "image in": {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: onePoint } },
          ],
        },
      ],
    },
    reasoning: { thinking: { type: "enabled", budget_tokens: 1024 } },
    "JSON schema": { output_config: { format: { type: "json_schema", schema: skySchema } } },
  },
};
