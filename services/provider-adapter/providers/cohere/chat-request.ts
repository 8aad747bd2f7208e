import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, numberOf, objectOf, textOf } from "../../translate/json-reading.ts";
import { withoutCounterpart } from "../../translate/neutral-values.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import { cohereMessages } from "./chat-request-messages.ts";
import { addTools } from "./chat-request-tools.ts";

/**
 * OpenAI's parameters without a counterpart at Cohere, each with the values that ask for nothing. Any other value is
 * refused, left out (`drop_params`) or passed on (`allowed_openai_params`).
 */
const unsupported = withoutCounterpart(
  "audio",
  "function_call",
  "functions",
  "logit_bias",
  "modalities",
  "n",
  "parallel_tool_calls",
  "prediction",
  "store",
  "top_logprobs",
  "verbosity",
  "web_search_options",
);

/** Parameters that are translated below, and hints that change no answer. */
const consumed = new Set([
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "prompt_cache_key",
  "prompt_cache_retention",
  "reasoning_effort",
  "response_format",
  "safety_identifier",
  "service_tier",
  "stop",
  "stream",
  "stream_options",
  "tool_choice",
  "tools",
  "top_k",
  "top_p",
  "user",
]);

/** Thinking budgets of `reasoning_effort`; the same as for other providers. `xhigh` and `max` mean no budget. */
const budgets: Readonly<Record<string, number>> = { minimal: 1024, low: 1024, medium: 2048, high: 4096 };

/**
 * Turns a chat completion request into one of Cohere's `/v2/chat`, https://docs.cohere.com/reference/chat. Parameters of
 * the deployment count where the client set none. What OpenAI does not know (`documents`, `citation_options`,
 * `safety_mode`, `thinking`) passes as it is.
 */
export function chatToCohereRequest(client: JsonObject, model: string, settings: TranslationSettings): JsonObject {
  const chat: JsonObject = { ...settings.defaultParams, ...client };
  const body: JsonObject = { model, messages: cohereMessages(chat.messages, settings), stream: settings.stream };
  for (const [name, value] of Object.entries(chat)) {
    if (isPassed(name, value, settings)) body[name] = value;
  }
  addLimit(body, chat, settings);
  addStop(body, chat);
  addRenamed(body, chat);
  addTools(body, chat, settings);
  addFormat(body, chat);
  addThinking(body, chat, settings);
  return body;
}

function isPassed(name: string, value: JsonValue, settings: TranslationSettings): boolean {
  const asksForNothing = Object.hasOwn(unsupported, name) ? unsupported[name] : undefined;
  if (asksForNothing !== undefined) {
    if (settings.allowedParams.includes(name)) return true;
    if (value !== null && !asksForNothing(value)) {
      refuseOrDrop(settings, name, `Cohere does not support the parameter '${name}' with this value.`);
    }
    return false;
  }
  return !consumed.has(name) && value !== null;
}

function addLimit(body: JsonObject, chat: JsonObject, { outputTokenCap }: TranslationSettings): void {
  const asked = numberOf(chat.max_completion_tokens) || numberOf(chat.max_tokens);
  const limit = asked > 0 ? Math.min(asked, outputTokenCap ?? asked) : outputTokenCap;
  if (limit !== undefined) body.max_tokens = limit;
}

function addStop(body: JsonObject, chat: JsonObject): void {
  const stop = (Array.isArray(chat.stop) ? chat.stop : [chat.stop]).filter((text) => typeof text === "string");
  if (stop.length > 0) body.stop_sequences = stop;
}

function addRenamed(body: JsonObject, chat: JsonObject): void {
  if (typeof chat.top_p === "number") body.p ??= chat.top_p;
  if (typeof chat.top_k === "number") body.k ??= chat.top_k;
}

function addFormat(body: JsonObject, chat: JsonObject): void {
  const format = chat.response_format;
  if (!isObject(format)) return;
  if (format.type !== "json_schema") body.response_format = format;
  else body.response_format = { type: "json_object", json_schema: objectOf(objectOf(format.json_schema).schema) };
}

/** An explicit `thinking` wins. */
function addThinking(body: JsonObject, chat: JsonObject, settings: TranslationSettings): void {
  const effort = textOf(chat.reasoning_effort);
  if (effort === "" || effort === "default" || effort === "auto" || body.thinking !== undefined) return;
  const budget = Object.hasOwn(budgets, effort) ? budgets[effort] : undefined;
  if (effort === "none" || effort === "disable") body.thinking = { type: "disabled" };
  else if (budget !== undefined) body.thinking = { type: "enabled", token_budget: budget };
  else if (effort === "xhigh" || effort === "max") body.thinking = { type: "enabled" };
  else refuseOrDrop(settings, "reasoning_effort", `Cohere has no reasoning effort '${effort}'.`);
}
