import { upstreamError } from "#chassis/errors.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { isObject, listOf, numberOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { ChatChoice, ChatDialect, ChatEvent } from "../chat-dialect/chat-dialect.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { errorInAnswer } from "../openai-compatible/errors.ts";
import { genericRequest } from "./generic-request.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";
import { chatUsage, finishReasonOf } from "./usage.ts";

/** The format of every model but Cohere's. */
export function createGenericDialect(chat: JsonObject, call: ProviderCall): ChatDialect {
  const calls = new Map<number, string[]>();
  return {
    id: providerId,
    request: upstreamRequest(call, "chat", { chatRequest: genericRequest(chat, call) }),
    readAnswer(answer) {
      const response = objectOf(answer.chatResponse);
      if (!Array.isArray(response.choices)) throw protocolError(providerId, "the answer has no choices");
      return { id: "", choices: objectsOf(response.choices).map(chatChoice), usage: chatUsage(response.usage) };
    },
    readEvent: (event) => chatEvent(event, calls),
  };
}

function chatChoice({ message, finishReason, logprobs }: JsonObject): ChatChoice {
  const { content, toolCalls, reasoningContent } = objectOf(message);
  const calls = objectsOf(toolCalls).map((call) => ({
    id: textOf(call.id),
    type: "function",
    function: { name: textOf(call.name), arguments: textOf(call.arguments) || "{}" },
  }));
  const probabilities = chatLogprobs(logprobs);
  return {
    content: textIn(content),
    reasoning: textOf(reasoningContent),
    toolCalls: calls,
    finishReason: finishReasonOf(textOf(finishReason) || "stop", calls.length > 0),
    ...(probabilities === undefined ? {} : { logprobs: probabilities }),
  };
}

/** `calls`: per choice, the ids of the tool calls that were begun. */
function chatEvent(event: JsonObject, calls: Map<number, string[]>): ChatEvent | undefined {
  // An error of Oracle's, whose message is a text.
  if (typeof event.message === "string") throw upstreamError(errorInAnswer(providerId, { error: event }));
  const index = numberOf(event.index);
  const { content, toolCalls, reasoningContent } = objectOf(event.message);
  const begun = calls.get(index) ?? [];
  calls.set(index, begun);
  const delta: JsonObject = {};
  if (textOf(reasoningContent) !== "") delta.reasoning_content = textOf(reasoningContent);
  if (textIn(content) !== "") delta.content = textIn(content);
  const told = objectsOf(toolCalls).map((call) => toolCallDelta(call, begun));
  if (told.length > 0) delta.tool_calls = told;
  const finishReason = finishReasonOf(textOf(event.finishReason), begun.length > 0);
  return { index, delta, finishReason, usage: chatUsage(event.usage) };
}

/** A call begins with its id; pieces of its arguments follow without one, or with the same. */
function toolCallDelta(call: JsonObject, begun: string[]): JsonObject {
  const id = textOf(call.id);
  const args = textOf(call.arguments);
  const known = begun.indexOf(id);
  if (begun.length > 0 && (id === "" || known >= 0)) {
    return { index: id === "" ? begun.length - 1 : known, function: { arguments: args } };
  }
  begun.push(id);
  return {
    index: begun.length - 1,
    id,
    type: "function",
    function: { name: textOf(call.name), arguments: args },
  };
}

function textIn(content: JsonValue | undefined): string {
  if (!Array.isArray(content)) return textOf(content);
  return objectsOf(content)
    .map(({ text }) => textOf(text))
    .join("");
}

/** Four lists of the same length, in OpenAI's form. */
function chatLogprobs(value: JsonValue | undefined): JsonObject | undefined {
  if (!isObject(value) || !Array.isArray(value.tokens)) return undefined;
  const content = value.tokens.map((item, at): JsonObject => {
    const token = textOf(item);
    const alternatives = Object.entries(objectOf(listOf(value.topLogprobs)[at]));
    return {
      token,
      logprob: numberOf(listOf(value.tokenLogprobs)[at]),
      bytes: [...Buffer.from(token)],
      top_logprobs: alternatives.map(([name, logprob]) => ({ token: name, logprob, bytes: [...Buffer.from(name)] })),
    };
  });
  return { content };
}
