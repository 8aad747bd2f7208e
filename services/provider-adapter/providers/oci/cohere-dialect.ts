import { upstreamError } from "#chassis/errors.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { listOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import type { ChatDialect, ChatEvent } from "../chat-dialect/chat-dialect.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { errorInAnswer } from "../openai-compatible/errors.ts";
import { cohereRequest } from "./cohere-request.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";
import { chatUsage, finishReasonOf } from "./usage.ts";

/** What a stream has told so far. */
interface Told {
  text: boolean;
  calls: number;
}

/** The format of Cohere's models. */
export function createCohereDialect(chat: JsonObject, call: ProviderCall): ChatDialect {
  const answerId = (call.callId ?? String(call.createdAt)).replaceAll("-", "");
  const told: Told = { text: false, calls: 0 };
  return {
    id: providerId,
    request: upstreamRequest(call, "chat", { chatRequest: cohereRequest(chat, call) }),
    readAnswer(answer) {
      const response = objectOf(answer.chatResponse);
      refuseBroken(response);
      if (typeof response.text !== "string") throw protocolError(providerId, "the answer has no text");
      const toolCalls = chatToolCalls(response.toolCalls, answerId, 0);
      const citations = listOf(response.citations);
      const choice = {
        content: response.text,
        toolCalls,
        finishReason: finishReasonOf(textOf(response.finishReason) || "COMPLETE", toolCalls.length > 0),
        ...(citations.length > 0 ? { providerFields: { citations } } : {}),
      };
      return { id: "", choices: [choice], usage: chatUsage(response.usage) };
    },
    readEvent: (event) => chatEvent(event, answerId, told),
  };
}

/** The last event has the whole text once more. */
function chatEvent(event: JsonObject, answerId: string, told: Told): ChatEvent {
  refuseBroken(event);
  const reason = textOf(event.finishReason);
  const delta: JsonObject = {};
  const text = reason !== "" && told.text ? "" : textOf(event.text);
  if (text !== "") delta.content = text;
  told.text ||= text !== "";
  const repeated = reason !== "" && told.calls > 0;
  const calls = repeated ? [] : chatToolCalls(event.toolCalls, answerId, told.calls);
  if (calls.length > 0) delta.tool_calls = calls.map((call, at) => ({ index: told.calls + at, ...call }));
  told.calls += calls.length;
  return { delta, finishReason: finishReasonOf(reason, told.calls > 0), usage: chatUsage(event.usage) };
}

/** The model failed: the reason is ERROR, or there are words for it. */
function refuseBroken(response: JsonObject): void {
  const words = textOf(response.errorMessage);
  if (response.finishReason !== "ERROR" && response.finishReason !== "USER_CANCEL" && words === "") return;
  throw upstreamError(errorInAnswer(providerId, { error: { message: words || "the model broke the answer off" } }));
}

/** Cohere's calls have no ids here: they are made of the answer's id and the call's place. */
function chatToolCalls(value: JsonValue | undefined, answerId: string, from: number): JsonObject[] {
  return objectsOf(value).map(({ name, parameters }, at) => ({
    id: `call_${answerId}_${from + at}`,
    type: "function",
    function: { name: textOf(name), arguments: JSON.stringify(objectOf(parameters)) },
  }));
}
