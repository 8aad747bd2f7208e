import type { JsonObject } from "../../provider.ts";
import { namedEvent } from "../../translate/sse-event.ts";
import { counts, type MockDialect } from "./dialect.ts";
import type { MockReply } from "./reply.ts";

const stopReasons = { stop: "end_turn", length: "max_tokens", tool_calls: "tool_use" } as const;

/** Anthropic's messages. */
export const messages: MockDialect = {
  body: (reply) => ({
    ...head(reply),
    content: [
      ...(reply.tokens.length === 0 ? [] : [{ type: "text", text: reply.tokens.join("") }]),
      ...reply.toolCalls.map((call) => ({ ...toolUse(call), input: JSON.parse(call.arguments) })),
    ],
    stop_reason: stopReasons[reply.finishReason],
    usage: { input_tokens: counts(reply).input, output_tokens: counts(reply).output },
  }),
  *events(reply) {
    const { input, output } = counts(reply);
    yield event("message_start", {
      message: { ...head(reply), content: [], stop_reason: null, usage: { input_tokens: input, output_tokens: 1 } },
    });
    let index = 0;
    if (reply.tokens.length > 0) {
      yield event("content_block_start", { index, content_block: { type: "text", text: "" } });
      for (const text of reply.tokens) {
        yield event("content_block_delta", { index, delta: { type: "text_delta", text } });
      }
      yield event("content_block_stop", { index });
      index += 1;
    }
    for (const call of reply.toolCalls) {
      yield event("content_block_start", { index, content_block: { ...toolUse(call), input: {} } });
      const delta = { type: "input_json_delta", partial_json: call.arguments };
      yield event("content_block_delta", { index, delta });
      yield event("content_block_stop", { index });
      index += 1;
    }
    const delta = { stop_reason: stopReasons[reply.finishReason], stop_sequence: null };
    yield event("message_delta", { delta, usage: { output_tokens: output } });
    yield event("message_stop", {});
  },
};

function event(type: string, fields: JsonObject): Uint8Array {
  return namedEvent(type, JSON.stringify({ type, ...fields }));
}

function head(reply: MockReply): JsonObject {
  return { id: `msg_${reply.id}`, type: "message", role: "assistant", model: reply.model, stop_sequence: null };
}

function toolUse(call: { id: string; name: string }): JsonObject {
  return { type: "tool_use", id: call.id, name: call.name };
}
