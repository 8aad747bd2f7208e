import type { JsonObject } from "../../provider.ts";
import { chatRequests } from "../conformance-cases.ts";
import { type Said, type StreamEnding, saidUsage, type Wire } from "../conformance-subject.ts";
import { piecesOf, sseEvent } from "./server-sent-event.ts";

const usage = {
  prompt_tokens: saidUsage.input,
  completion_tokens: saidUsage.output,
  total_tokens: saidUsage.input + saidUsage.output,
  prompt_tokens_details: { cached_tokens: saidUsage.cached },
  completion_tokens_details: { reasoning_tokens: saidUsage.reasoning },
};
const head = (model: string) => ({ id: "chat-1", created: 1_700_000_000, model });

function delta(fields: JsonObject, finishReason: string | null = null, model = "m"): Uint8Array {
  const choices = [{ index: 0, delta: fields, finish_reason: finishReason }];
  return sseEvent({ ...head(model), object: "chat.completion.chunk", choices });
}

function toolCalls({ calls }: Said): JsonObject[] {
  return calls.map(({ id, name, input }) => ({
    id,
    type: "function",
    function: { name, arguments: JSON.stringify(input) },
  }));
}

function stream(said: Said, ending: StreamEnding, model: string): Uint8Array[] {
  const finish = { "no finish": 0, complete: 1, "two finishes": 2 }[ending];
  const events = [
    delta({ role: "assistant", content: "" }, null, model),
    ...piecesOf(said.reasoning).map((piece) => delta({ reasoning_content: piece }, null, model)),
    ...piecesOf(said.text).map((piece) => delta({ content: piece }, null, model)),
    ...toolCalls(said).map((call, index) => delta({ tool_calls: [{ index, ...call }] }, null, model)),
    ...Array.from({ length: finish }, () => delta({}, said.finish, model)),
  ];
  if (ending === "no finish") return events;
  const closing = sseEvent({ ...head(model), object: "chat.completion.chunk", choices: [], usage });
  return [...events, closing, Buffer.from("data: [DONE]\n\n")];
}

/** OpenAI's chat completions, https://platform.openai.com/docs/api-reference/chat. What a client sends is what arrives. */
export const openAiWire: Wire = {
  passed: true,
  streamType: "text/event-stream",
  whole(said, model) {
    const message: JsonObject = { role: "assistant", content: said.text === "" ? null : said.text };
    if (said.reasoning !== "") message.reasoning_content = said.reasoning;
    if (said.calls.length > 0) message.tool_calls = toolCalls(said);
    const choices = [{ index: 0, message, finish_reason: said.finish }];
    return { ...head(model), object: "chat.completion", choices, usage };
  },
  stream,
  failure: (_, message) => ({ error: { message, type: "error", param: null, code: null } }),
  failedEvent: (message) => sseEvent({ error: { message, type: "server_error", code: 500 } }),
  unknownEvent: sseEvent({ object: "chat.completion.chunk.news", id: "chat-1", choices: [], news: true }),
  brokenEvent: Buffer.from('data: {"choices":[{"index":0,\n\n'),
  longEvent: (bytes) => delta({ content: "x".repeat(bytes) }),
  empty: [{ ...head("m"), object: "chat.completion", choices: [], usage }, {}],
  metered: [saidUsage.input - saidUsage.cached, saidUsage.cached, saidUsage.output, saidUsage.reasoning],
  sends: chatRequests,
};
