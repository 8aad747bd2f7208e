import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  isObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { finishReasons, inputTokensOf, type RecordedMessage } from "./recorded-message.ts";
import type { SseEvent } from "./sse-reading.ts";

/** What a chat completion says, streamed or not. */
export interface ChatAnswer {
  text: string;
  reasoning: string;
  tools: { id: string; name: string; input: JsonValue }[];
  finishReason: string;
  usage: JsonObject;
}

export function readCompletion(completion: JsonObject): ChatAnswer {
  const choice = objectOf(listOf(completion.choices)[0]);
  const message = objectOf(choice.message);
  return {
    text: textOf(message.content),
    reasoning: textOf(message.reasoning_content),
    tools: objectsOf(message.tool_calls).map((call) => {
      const { name, arguments: text } = objectOf(call.function);
      return { id: textOf(call.id), name: textOf(name), input: JSON.parse(textOf(text)) };
    }),
    finishReason: textOf(choice.finish_reason),
    usage: objectOf(completion.usage),
  };
}

/** Throws where tool calls are not numbered densely, or where there is not exactly one finish and one `[DONE]`. */
export function readChunks(events: readonly SseEvent[]): ChatAnswer {
  const answer: ChatAnswer = { text: "", reasoning: "", tools: [], finishReason: "", usage: {} };
  const calls: { id: string; name: string; text: string }[] = [];
  strictEqual(events.at(-1)?.data, "[DONE]");
  for (const { data } of events.slice(0, -1)) {
    const chunk = objectOf(data);
    if (isObject(chunk.usage)) answer.usage = chunk.usage;
    const choice = objectOf(listOf(chunk.choices)[0]);
    const delta = objectOf(choice.delta);
    answer.text += textOf(delta.content);
    answer.reasoning += textOf(delta.reasoning_content);
    for (const call of objectsOf(delta.tool_calls)) {
      const at = numberOf(call.index);
      if (typeof call.id === "string") strictEqual(at, calls.length, "indexes are dense");
      calls[at] ??= { id: textOf(call.id), name: textOf(objectOf(call.function).name), text: "" };
      const known = calls[at];
      known.text += textOf(objectOf(call.function).arguments);
    }
    if (typeof choice.finish_reason !== "string") continue;
    strictEqual(answer.finishReason, "", "exactly one finish");
    answer.finishReason = choice.finish_reason;
  }
  answer.tools = calls.map(({ id, name, text }) => ({ id, name, input: JSON.parse(text) }));
  return answer;
}

/** Throws where a chat answer does not say what Anthropic's message says. */
export function compareWithMessage(chat: ChatAnswer, message: RecordedMessage): void {
  strictEqual(chat.text, message.text);
  strictEqual(chat.reasoning, message.thinking);
  deepStrictEqual(
    chat.tools,
    message.tools.map(({ id, name, input }) => ({ id, name, input })),
  );
  strictEqual(chat.finishReason, finishReasons[message.stopReason]);
  const { usage, earlier } = message;
  strictEqual(numberOf(chat.usage.prompt_tokens), earlier.input + inputTokensOf(usage));
  strictEqual(numberOf(chat.usage.completion_tokens), earlier.output + numberOf(usage.output_tokens));
}
