import type { JsonObject, JsonValue } from "../../provider.ts";
import { objectOf } from "../../translate/json-reading.ts";
import { dataEvent } from "../../translate/sse-event.ts";
import { counts, type MockDialect } from "./dialect.ts";
import type { MockReply } from "./reply.ts";

/** OpenAI's chat completions. */
export const chat: MockDialect = {
  body: (reply) => ({
    ...head(reply, "chat.completion"),
    choices: indexes(reply).map((index) => ({
      index,
      message: {
        role: "assistant",
        content: reply.tokens.length === 0 && reply.toolCalls.length > 0 ? null : reply.tokens.join(""),
        refusal: null,
        ...(reply.toolCalls.length === 0 ? {} : { tool_calls: reply.toolCalls.map(toolCall) }),
      },
      logprobs: null,
      finish_reason: reply.finishReason,
    })),
    usage: usage(reply),
  }),
  *events(reply, request) {
    const all = indexes(reply);
    const chunks = (delta: JsonObject, finish: string | null = null) =>
      all.map((index) =>
        event({ ...head(reply, "chat.completion.chunk"), choices: [{ index, delta, finish_reason: finish }] }),
      );
    yield* chunks({ role: "assistant", content: "" });
    for (const token of reply.tokens) yield* chunks({ content: token });
    for (const [index, call] of reply.toolCalls.entries()) {
      yield* chunks({ tool_calls: [{ index, ...toolCall({ ...call, arguments: "" }) }] });
      yield* chunks({ tool_calls: [{ index, function: { arguments: call.arguments } }] });
    }
    yield* chunks({}, reply.finishReason);
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
    choices: indexes(reply).map((index) => ({
      index,
      text: reply.tokens.join(""),
      logprobs: null,
      finish_reason: finish(reply),
    })),
    usage: usage(reply),
  }),
  *events(reply, request) {
    const all = indexes(reply);
    const chunks = (text: string, reason: string | null) =>
      all.map((index) =>
        event({
          ...head(reply, "text_completion"),
          choices: [{ index, text, logprobs: null, finish_reason: reason }],
        }),
      );
    for (const token of reply.tokens) yield* chunks(token, null);
    yield* chunks("", finish(reply));
    if (objectOf(request.stream_options).include_usage === true) {
      yield event({ ...head(reply, "text_completion"), choices: [], usage: usage(reply) });
    }
    yield dataEvent("[DONE]");
  },
};

function indexes({ choices }: MockReply): number[] {
  return Array.from({ length: choices }, (_, index) => index);
}

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
