import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { stopReasonOf } from "../finish-reason.ts";
import { isObject, objectOf, objectsOf, parseObject, textOf } from "../json-reading.ts";

/** Turns a chat completion into an Anthropic message. Of several choices the first one counts. */
export function chatCompletionToMessage(completion: JsonObject, usage: Usage): JsonObject {
  const choice = objectOf(objectsOf(completion.choices)[0]);
  const message = objectOf(choice.message);
  const content = [...thinkingBlocks(message), ...textBlocks(message), ...toolUses(message)];
  return {
    id: textOf(completion.id),
    type: "message",
    role: "assistant",
    model: textOf(completion.model),
    content,
    stop_reason: stopReason(textOf(choice.finish_reason), hasCalls(content), textOf(message.refusal) !== ""),
    stop_sequence: null,
    usage: messageUsage(usage),
  };
}

/** Why the message ended. Some upstreams say `stop` although they call tools; a refusal is told by its text alone. */
export function stopReason(finishReason: string, calls: boolean, refused: boolean): string {
  if (refused) return "refusal";
  return calls && (finishReason === "stop" || finishReason === "") ? "tool_use" : stopReasonOf(finishReason);
}

/** Anthropic's `usage` of the canonical counts. */
export function messageUsage(usage: Usage): JsonObject {
  const reported: JsonObject = {
    input_tokens: Number(usage.inputTokens),
    cache_creation_input_tokens: Number(usage.cacheWriteTokens + usage.cacheWrite1hTokens),
    cache_read_input_tokens: Number(usage.cacheReadTokens),
    output_tokens: Number(usage.outputTokens),
  };
  if (usage.reasoningTokens > 0n) {
    reported.output_tokens_details = { thinking_tokens: Number(usage.reasoningTokens) };
  }
  return reported;
}

/**
 * The reasoning of a message or delta: `reasoning_content` (DeepSeek, vLLM, …), `reasoning` (OpenRouter, Groq), or parts
 * of type `thinking` (Mistral).
 */
export function reasoningText(message: JsonObject): string {
  const thinking = objectsOf(message.content).filter((part) => part.type === "thinking");
  const parts = thinking.flatMap((part) => objectsOf(part.thinking).map(({ text }) => textOf(text)));
  return textOf(message.reasoning_content) || textOf(message.reasoning) || parts.join("");
}

/** The text of a message or delta, whose content may be parts. */
export function contentText(message: JsonObject): string {
  const parts = objectsOf(message.content).map((part) => textOf(part.text));
  return textOf(message.content) + parts.join("");
}

function thinkingBlocks(message: JsonObject): JsonObject[] {
  const given = objectsOf(message.thinking_blocks);
  if (given.length > 0) return given;
  const thinking = reasoningText(message);
  // Clients want a signature; an upstream that signs nothing gets it back unread.
  return thinking === "" ? [] : [{ type: "thinking", thinking, signature: "" }];
}

function textBlocks(message: JsonObject): JsonObject[] {
  return [contentText(message), textOf(message.refusal)]
    .filter((text) => text !== "")
    .map((text) => ({ type: "text", text }));
}

function toolUses(message: JsonObject): JsonObject[] {
  const calls = objectsOf(message.tool_calls);
  if (calls.length === 0 && isObject(message.function_call)) calls.push({ function: message.function_call });
  return calls.map((call, index) => ({
    type: "tool_use",
    id: textOf(call.id) || `call_${index}`,
    name: textOf(objectOf(call.function).name),
    input: toolInput(objectOf(call.function).arguments),
  }));
}

function toolInput(value: JsonValue | undefined): JsonValue {
  if (isObject(value)) return value;
  const text = textOf(value);
  return text.trim() === "" ? {} : (parseObject(text) ?? { invalid_arguments: text });
}

function hasCalls(content: readonly JsonObject[]): boolean {
  return content.some((block) => block.type === "tool_use");
}
