import type { JsonObject, JsonValue } from "../../provider.ts";
import { objectOf } from "../../translate/json-reading.ts";
import { dataEvent } from "../../translate/sse-event.ts";
import { counts, type MockDialect } from "./dialect.ts";
import type { MockReply } from "./reply.ts";

/** OpenAI's chat completions. */
export const chat: MockDialect = {
  body: (reply) => ({
    ...head(reply, "chat.completion"),
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: reply.tokens.length === 0 && reply.toolCalls.length > 0 ? null : reply.tokens.join(""),
          refusal: null,
          ...(reply.toolCalls.length === 0 ? {} : { tool_calls: reply.toolCalls.map(toolCall) }),
        },
        logprobs: null,
        finish_reason: reply.finishReason,
      },
    ],
    usage: usage(reply),
  }),
  *events(reply, request) {
    const chunk = (delta: JsonObject, finish: string | null = null) =>
      event({ ...head(reply, "chat.completion.chunk"), choices: [{ index: 0, delta, finish_reason: finish }] });
    yield chunk({ role: "assistant", content: "" });
    for (const token of reply.tokens) yield chunk({ content: token });
    for (const [index, call] of reply.toolCalls.entries()) {
      yield chunk({ tool_calls: [{ index, ...toolCall({ ...call, arguments: "" }) }] });
      yield chunk({ tool_calls: [{ index, function: { arguments: call.arguments } }] });
    }
    yield chunk({}, reply.finishReason);
    if (objectOf(request.stream_options).include_usage === true) {
      yield event({ ...head(reply, "chat.completion.chunk"), choices: [], usage: usage(reply) });
    }
    yield dataEvent("[DONE]");
  },
};

/** OpenAI's legacy completions. */
export const completions: MockDialect = {
  body: (reply) => ({
    ...head(reply, "text_completion"),
    choices: [{ index: 0, text: reply.tokens.join(""), logprobs: null, finish_reason: finish(reply) }],
    usage: usage(reply),
  }),
  *events(reply, request) {
    const chunk = (text: string, reason: string | null) =>
      event({
        ...head(reply, "text_completion"),
        choices: [{ index: 0, text, logprobs: null, finish_reason: reason }],
      });
    for (const token of reply.tokens) yield chunk(token, null);
    yield chunk("", finish(reply));
    if (objectOf(request.stream_options).include_usage === true) {
      yield event({ ...head(reply, "text_completion"), choices: [], usage: usage(reply) });
    }
    yield dataEvent("[DONE]");
  },
};

function event(value: JsonValue): Uint8Array {
  return dataEvent(JSON.stringify(value));
}

function head(reply: MockReply, object: string): JsonObject {
  return { id: `chatcmpl-${reply.id}`, object, created: reply.createdAt, model: reply.model };
}

function finish(reply: MockReply): string {
  return reply.finishReason === "tool_calls" ? "stop" : reply.finishReason;
}

function usage(reply: MockReply): JsonObject {
  const { input, output } = counts(reply);
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
}

function toolCall(call: { id: string; name: string; arguments: string }): JsonObject {
  return { id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } };
}
