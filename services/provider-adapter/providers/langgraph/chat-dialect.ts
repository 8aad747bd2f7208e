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
  const usage = new RunUsage();
  if (call.stream) body.stream_mode = ["messages-tuple"];
  return {
    id: providerId,
    request: upstreamRequest(call, body),
    endsUnannounced: true,
    readAnswer(state) {
      const answer = objectsOf(state.messages).findLast(isAnswer);
      if (answer === undefined) throw protocolError(providerId, "the state has no message of the graph's");
      const choice = { content: textIn(answer.content), finishReason: "stop" };
      for (const message of objectsOf(state.messages)) usage.add(message.usage_metadata);
      return { id: textOf(answer.id), choices: [choice], usage: usage.told() };
    },
    readEvent: (event, name) => (name.startsWith("messages") ? chatEvent(event, usage) : undefined),
  };
}

/** A piece of a message, and what the graph knows of it. */
function chatEvent({ items }: JsonObject, usage: RunUsage): ChatEvent | undefined {
  const [message] = objectsOf(items);
  if (message === undefined || !isAnswer(message)) return undefined;
  const content = textIn(message.content);
  usage.add(message.usage_metadata);
  return { delta: content === "" ? {} : { content }, usage: usage.told() };
}

/** Messages of people and of tools stand in the state, too. */
function isAnswer({ type, role }: JsonObject): boolean {
  return type === "ai" || type === "AIMessageChunk" || role === "assistant";
}

function textIn(content: JsonValue | undefined): string {
  if (!Array.isArray(content)) return textOf(content);
  return content.map((part) => (typeof part === "string" ? part : textOf(objectOf(part).text))).join("");
}

/** A graph may ask models more than once: all that its messages count is the run's. */
class RunUsage {
  #prompt = 0;
  #completion = 0;

  add(value: JsonValue | undefined): void {
    if (!isObject(value)) return;
    this.#prompt += countOf(value.input_tokens) ?? 0;
    this.#completion += countOf(value.output_tokens) ?? 0;
  }

  /** In OpenAI's words; undefined where nothing was counted. */
  told(): JsonObject | undefined {
    const [prompt, completion] = [this.#prompt, this.#completion];
    if (prompt + completion === 0) return undefined;
    return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  }
}
