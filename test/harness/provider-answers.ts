import type { ScriptedAnswer } from "#chassis/testing/fake-upstream.ts";

/** What providers answer, in their own words, for a fake upstream to say. */
export type Dialect = "openai" | "anthropic";

const json = { "content-type": "application/json" };
const sse = { "content-type": "text/event-stream" };

export function jsonAnswer(
  body: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): ScriptedAnswer {
  return { status, headers: { ...json, ...headers }, body: JSON.stringify(body) };
}

export function streamAnswer(body: string, changes: Partial<ScriptedAnswer> = {}): ScriptedAnswer {
  return { headers: sse, body, chunking: "events", ...changes };
}

/** A chat completion of 10 input and 5 output tokens. */
export function completion(message: object = { content: "Hello" }, finishReason = "stop") {
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: "gpt-4o-2024-08-06",
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finishReason }],
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  };
}

/** One event of a chat completion stream. */
export function completionChunk(delta: object, finishReason: string | null = null): string {
  const choices = [{ index: 0, delta, finish_reason: finishReason }];
  return `data: ${JSON.stringify({ ...chunkHead, choices })}\n\n`;
}

const chunkHead = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "gpt-4o-2024-08-06" };

/** The usage chunk and the mark of the end. */
export const completionEnd = `data: ${JSON.stringify({ ...chunkHead, choices: [], usage: completion().usage })}\n\ndata: [DONE]\n\n`;

/** A message of 10 input and 5 output tokens. */
export function message(content: readonly object[] = [{ type: "text", text: "Hello" }], stopReason = "end_turn") {
  return {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "claude-sonnet-4-5-20250929",
    content,
    stop_reason: stopReason,
    stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 5 },
  };
}

/** One event of a message stream. */
export function messageEvent(type: string, members: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
}

const messageStart = messageEvent("message_start", { message: { ...message([]), stop_reason: null } });

/** The events of one content block. */
export function messageBlock(index: number, block: object, ...deltas: readonly object[]): string {
  return [
    messageEvent("content_block_start", { index, content_block: block }),
    ...deltas.map((delta) => messageEvent("content_block_delta", { index, delta })),
    messageEvent("content_block_stop", { index }),
  ].join("");
}

function messageEnd(stopReason: string): string {
  const delta = { stop_reason: stopReason, stop_sequence: null };
  return messageEvent("message_delta", { delta, usage: { output_tokens: 5 } }) + messageEvent("message_stop");
}

/** A whole message stream around these blocks. */
export function messageStream(blocks: string, stopReason = "end_turn"): string {
  return messageStart + blocks + messageEnd(stopReason);
}

/** A stream of each provider that says "Hello", in two parts: what comes up to the text, and what closes it. */
export const helloStream: Readonly<Record<Dialect, readonly [begin: string, end: string]>> = {
  openai: [completionChunk({ role: "assistant", content: "Hello" }), completionChunk({}, "stop") + completionEnd],
  anthropic: [
    messageStart +
      messageEvent("content_block_start", { index: 0, content_block: { type: "text", text: "" } }) +
      messageEvent("content_block_delta", { index: 0, delta: { type: "text_delta", text: "Hello" } }),
    messageEvent("content_block_stop", { index: 0 }) + messageEnd("end_turn"),
  ],
};

/** "Hello", whole or streamed. */
export function helloAnswer(dialect: Dialect, stream: boolean): ScriptedAnswer {
  if (stream) return streamAnswer(helloStream[dialect].join(""));
  return jsonAnswer(dialect === "openai" ? completion() : message());
}

/** An error in a provider's own shape. */
export function providerError(dialect: Dialect, message: string, type: string, code: string | null = null) {
  return dialect === "openai"
    ? { error: { message, type, param: null, code } }
    : { type: "error", error: { type, message }, request_id: "req_1" };
}
