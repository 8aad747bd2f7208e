import type { JsonObject, JsonValue } from "../../provider.ts";
import { countOf, isObject, objectOf } from "../../translate/json-reading.ts";

/** Oracle's `usage` in OpenAI's words; undefined where there is none. */
export function chatUsage(value: JsonValue | undefined): JsonObject | undefined {
  if (!isObject(value)) return undefined;
  const prompt = countOf(value.promptTokens) ?? 0;
  const completion = countOf(value.completionTokens) ?? 0;
  const usage: JsonObject = {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: countOf(value.totalTokens) ?? prompt + completion,
  };
  const cached = countOf(objectOf(value.promptTokensDetails).cachedTokens);
  if (cached !== undefined) usage.prompt_tokens_details = { cached_tokens: cached };
  const reasoning = countOf(objectOf(value.completionTokensDetails).reasoningTokens);
  if (reasoning !== undefined) usage.completion_tokens_details = { reasoning_tokens: reasoning };
  return usage;
}

const finishReasons: Readonly<Record<string, string>> = {
  complete: "stop",
  stop: "stop",
  length: "length",
  max_tokens: "length",
  tool_call: "tool_calls",
  tool_calls: "tool_calls",
  content_filter: "content_filter",
  error_toxic: "content_filter",
  error_limit: "length",
};

/** OpenAI's word for how an answer ended; empty where it goes on, `stop` for a reason that is not known yet. */
export function finishReasonOf(reason: string, called: boolean): string {
  if (reason === "") return "";
  const found = finishReasons[reason.toLowerCase()] ?? "stop";
  return called && found === "stop" ? "tool_calls" : found;
}
