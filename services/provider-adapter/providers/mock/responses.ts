import type { JsonObject } from "../../provider.ts";
import { namedEvent } from "../../translate/sse-event.ts";
import { counts, type MockDialect } from "./dialect.ts";
import type { MockReply } from "./reply.ts";

/** OpenAI's responses: text and function calls. */
export const responses: MockDialect = {
  body: (reply) => response(reply, true),
  *events(reply) {
    let sequence = 0;
    const event = (type: string, fields: JsonObject): Uint8Array => {
      const data = JSON.stringify({ type, sequence_number: sequence, ...fields });
      sequence += 1;
      return namedEvent(type, data);
    };
    yield event("response.created", { response: response(reply, false) });
    for (const [output_index, item] of outputOf(reply).entries()) {
      const place = { item_id: item.id ?? null, output_index };
      if (item.type === "function_call") {
        yield event("response.output_item.added", { output_index, item: { ...item, arguments: "" } });
        yield event("response.function_call_arguments.delta", { ...place, delta: item.arguments ?? "" });
        yield event("response.function_call_arguments.done", { ...place, arguments: item.arguments ?? "" });
      } else {
        const part = { ...place, content_index: 0 };
        yield event("response.output_item.added", { output_index, item: { ...item, content: [] } });
        yield event("response.content_part.added", { ...part, part: textPart("") });
        for (const delta of reply.tokens) yield event("response.output_text.delta", { ...part, delta });
        yield event("response.output_text.done", { ...part, text: reply.tokens.join("") });
        yield event("response.content_part.done", { ...part, part: textPart(reply.tokens.join("")) });
      }
      yield event("response.output_item.done", { output_index, item });
    }
    const type = reply.finishReason === "length" ? "response.incomplete" : "response.completed";
    yield event(type, { response: response(reply, true) });
  },
};

function response(reply: MockReply, done: boolean): JsonObject {
  const { input, output } = counts(reply);
  const ended = reply.finishReason === "length" ? "incomplete" : "completed";
  return {
    id: `resp_${reply.id}`,
    object: "response",
    created_at: reply.createdAt,
    status: done ? ended : "in_progress",
    error: null,
    incomplete_details: done && ended === "incomplete" ? { reason: "max_output_tokens" } : null,
    model: reply.model,
    output: done ? outputOf(reply) : [],
    usage: done ? { input_tokens: input, output_tokens: output, total_tokens: input + output } : null,
  };
}

function outputOf(reply: MockReply): JsonObject[] {
  const calls = reply.toolCalls.map((call, index) => ({
    type: "function_call",
    id: `fc_${reply.id}_${index}`,
    call_id: call.id,
    name: call.name,
    arguments: call.arguments,
    status: "completed",
  }));
  if (reply.tokens.length === 0 && calls.length > 0) return calls;
  const content = [textPart(reply.tokens.join(""))];
  return [{ type: "message", id: `msg_${reply.id}`, role: "assistant", status: "completed", content }, ...calls];
}

function textPart(text: string): JsonObject {
  return { type: "output_text", text, annotations: [] };
}
