import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { countOf, isObject, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { ChatDialect, ChatEvent } from "../chat-dialect/chat-dialect.ts";
import { chatOf } from "../chat-dialect/chat-dialect-exchange.ts";
import { type ParamTable, translateParams } from "../chat-dialect/chat-params.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** The graph chooses its models and their parameters. */
const table: ParamTable = { owner: "langgraph", limit: "max_tokens", rules: {}, elsewhere: [] };

/** How a LangGraph server speaks in one call. */
export function createChatDialect(call: ProviderCall): ChatDialect {
  const chat: JsonObject = { ...call.defaultParams, ...chatOf(call) };
  if (!Array.isArray(chat.messages)) {
    throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array.", { param: "messages" });
  }
  const { max_tokens: _limit, ...params } = translateParams(chat, call, table);
  const body: JsonObject = { assistant_id: call.model, input: { messages: chat.messages }, ...params };
  if (call.stream) body.stream_mode = ["messages-tuple"];
  return {
    id: providerId,
    request: upstreamRequest(call, body),
    endsUnannounced: true,
    readAnswer(state) {
      const answer = objectsOf(state.messages).findLast(isAnswer);
      if (answer === undefined) throw protocolError(providerId, "the state has no message of the graph's");
      const choice = { content: textIn(answer.content), finishReason: "stop" };
      return { id: textOf(answer.id), choices: [choice], usage: chatUsage(answer.usage_metadata) };
    },
    readEvent: (event, name) => (name.startsWith("messages") ? chatEvent(event) : undefined),
  };
}

/** A piece of a message, and what the graph knows of it. */
function chatEvent({ items }: JsonObject): ChatEvent | undefined {
  const [message] = objectsOf(items);
  if (message === undefined || !isAnswer(message)) return undefined;
  const content = textIn(message.content);
  return { delta: content === "" ? {} : { content }, usage: chatUsage(message.usage_metadata) };
}

/** Messages of people and of tools stand in the state, too. */
function isAnswer({ type, role }: JsonObject): boolean {
  return type === "ai" || type === "AIMessageChunk" || role === "assistant";
}

function textIn(content: JsonValue | undefined): string {
  if (!Array.isArray(content)) return textOf(content);
  return content.map((part) => (typeof part === "string" ? part : textOf(objectOf(part).text))).join("");
}

function chatUsage(value: JsonValue | undefined): JsonObject | undefined {
  if (!isObject(value)) return undefined;
  const prompt = countOf(value.input_tokens) ?? 0;
  const completion = countOf(value.output_tokens) ?? 0;
  if (prompt + completion === 0) return undefined;
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}
