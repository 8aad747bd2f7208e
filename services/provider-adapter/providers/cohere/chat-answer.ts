import { upstreamError } from "#chassis/errors.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { listOf, numberOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { brokenOff } from "./classify-error.ts";
import { chatUsage } from "./usage.ts";

const finishReasons: Readonly<Record<string, string>> = {
  COMPLETE: "stop",
  STOP_SEQUENCE: "stop",
  MAX_TOKENS: "length",
  TOOL_CALL: "tool_calls",
  ERROR_TOXIC: "content_filter",
};

/**
 * Cohere's finish reason in OpenAI's words; `stop` for one that is not known yet. Throws the error of `upstreamError`
 * where the reason is that the model failed.
 */
export function finishReasonOf(reason: string, words = ""): string {
  if (reason === "ERROR" || reason === "TIMEOUT" || words !== "") throw upstreamError(brokenOff(reason, words));
  return finishReasons[reason] ?? "stop";
}

/**
 * Turns Cohere's answer into a chat completion. Thinking, or the plan before a tool call, is `reasoning_content`; the plan
 * and the citations, which a chat message cannot hold, travel in `provider_specific_fields`.
 */
export function cohereToChatCompletion(answer: JsonObject, model: string, createdAt: number): JsonObject {
  const message = objectOf(answer.message);
  const logprobs = tokenLogprobs(answer.logprobs);
  const completion: JsonObject = {
    id: textOf(answer.id),
    object: "chat.completion",
    created: createdAt,
    model,
    choices: [
      {
        index: 0,
        message: chatMessage(message),
        finish_reason: finishReasonOf(textOf(answer.finish_reason)),
        logprobs: logprobs.length > 0 ? { content: logprobs } : null,
      },
    ],
  };
  const usage = chatUsage(answer.usage);
  if (usage !== undefined) completion.usage = usage;
  return completion;
}

function chatMessage(message: JsonObject): JsonObject {
  const parts = objectsOf(message.content);
  const text = joined(parts, "text");
  const plan = textOf(message.tool_plan);
  const calls = objectsOf(message.tool_calls);
  const result: JsonObject = {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
  };
  const reasoning = joined(parts, "thinking") || plan;
  if (reasoning !== "") result.reasoning_content = reasoning;
  if (calls.length > 0) {
    result.tool_calls = calls.map((call) => {
      const { name, arguments: args } = objectOf(call.function);
      return {
        id: textOf(call.id),
        type: "function",
        function: { name: textOf(name), arguments: textOf(args) || "{}" },
      };
    });
  }
  const fields: JsonObject = {};
  if (plan !== "") fields.tool_plan = plan;
  if (listOf(message.citations).length > 0) fields.citations = listOf(message.citations);
  if (Object.keys(fields).length > 0) result.provider_specific_fields = fields;
  return result;
}

function joined(parts: readonly JsonObject[], type: "text" | "thinking"): string {
  return parts
    .filter((part) => part.type === type)
    .map((part) => textOf(part[type]))
    .join("");
}

/** Cohere's log probabilities, one entry per piece of text, in OpenAI's form. It gives no alternatives. */
export function tokenLogprobs(value: JsonValue | undefined): JsonObject[] {
  const items = Array.isArray(value) ? objectsOf(value) : objectsOf([value ?? null]);
  return items.map((item) => {
    const token = textOf(item.text);
    const logprob = listOf(item.logprobs).reduce<number>((sum, each) => sum + numberOf(each), 0);
    return { token, logprob, bytes: [...Buffer.from(token)], top_logprobs: [] };
  });
}
