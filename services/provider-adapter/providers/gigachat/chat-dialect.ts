import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { countOf, isObject, numberOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { ChatChoice, ChatDialect, ChatEvent } from "../chat-dialect/chat-dialect.ts";
import { chatOf } from "../chat-dialect/chat-dialect-exchange.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { gigachatRequest, schemaFunctionOf } from "./chat-request.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** How GigaChat speaks in one call. */
export function createChatDialect(call: ProviderCall): ChatDialect {
  const chat: JsonObject = { ...call.defaultParams, ...chatOf(call) };
  const answerId = (call.callId ?? String(call.createdAt)).replaceAll("-", "");
  const schemaFunction = schemaFunctionOf(chat);
  const read = (choice: JsonObject) => readChoice(choice, answerId, schemaFunction);
  return {
    id: providerId,
    request: upstreamRequest(call, "/chat/completions", gigachatRequest(chat, call)),
    readAnswer(answer) {
      if (!Array.isArray(answer.choices)) throw protocolError(providerId, "the answer has no choices");
      const choices = objectsOf(answer.choices).map((choice): ChatChoice => {
        const { finishReason, ...told } = read(choice);
        return { ...told, finishReason: finishReason || "stop" };
      });
      return { id: "", choices, usage: chatUsage(answer.usage) };
    },
    readEvent: (event) => chatEvents(event, read),
  };
}

/** A choice of an answer, or of a stream's event. */
interface Told {
  readonly content: string;
  readonly toolCalls: readonly JsonObject[];
  /** Empty where it goes on. */
  readonly finishReason: string;
}

/** A call comes whole, its arguments as an object. One that stands for a schema is the text that was asked for. */
function readChoice(choice: JsonObject, answerId: string, schemaFunction: string): Told {
  const { content, function_call: call } = objectOf(choice.message ?? choice.delta);
  const reason = textOf(choice.finish_reason);
  const { name, arguments: args } = objectOf(call);
  const text = typeof args === "string" ? args : JSON.stringify(args ?? {});
  const isAnswer = schemaFunction !== "" && name === schemaFunction;
  const toolCall = { id: `call_${answerId}`, type: "function", function: { name: textOf(name), arguments: text } };
  return {
    content: isAnswer ? text : textOf(content),
    toolCalls: isObject(call) && !isAnswer ? [toolCall] : [],
    finishReason: finishReasonOf(reason, schemaFunction === ""),
  };
}

function chatEvents(event: JsonObject, read: (choice: JsonObject) => Told): ChatEvent[] {
  const usage = chatUsage(event.usage);
  const told = objectsOf(event.choices).map((choice): ChatEvent => {
    const { content, toolCalls, finishReason } = read(choice);
    const delta: JsonObject = content === "" ? {} : { content };
    if (toolCalls.length > 0) delta.tool_calls = toolCalls.map((call, index) => ({ index, ...call }));
    return { index: numberOf(choice.index), delta, finishReason };
  });
  return usage === undefined ? told : [...told, { usage }];
}

function finishReasonOf(reason: string, mayCall: boolean): string {
  if (reason === "" || reason === "length") return reason;
  if (reason === "blacklist") return "content_filter";
  return reason === "function_call" && mayCall ? "tool_calls" : "stop";
}

/** Tokens that were cached are not in the count of the prompt. */
function chatUsage(value: JsonValue | undefined): JsonObject | undefined {
  if (!isObject(value)) return undefined;
  const cached = countOf(value.precached_prompt_tokens) ?? 0;
  const prompt = (countOf(value.prompt_tokens) ?? 0) + cached;
  const completion = countOf(value.completion_tokens) ?? 0;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    ...(cached > 0 ? { prompt_tokens_details: { cached_tokens: cached } } : {}),
  };
}
