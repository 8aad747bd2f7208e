import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, numberOf, objectOf, objectsOf, textOf, without } from "../../translate/json-reading.ts";
import { type IsNeutral, withoutCounterpart } from "../../translate/neutral-values.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import { ollamaMessages } from "./chat-request-messages.ts";

/**
 * OpenAI's parameters without a counterpart at Ollama, each with the values that ask for nothing. Any other value is
 * refused, left out (`drop_params`) or passed on (`allowed_openai_params`).
 */
const unsupported: Readonly<Record<string, IsNeutral>> = {
  ...withoutCounterpart(
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "store",
    "top_logprobs",
    "verbosity",
    "web_search_options",
  ),
  tool_choice: (value: JsonValue) => value === "auto" || value === "none",
};

/** Parameters that are translated below, and hints that change no answer. */
const consumed = new Set([
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "options",
  "prompt_cache_key",
  "prompt_cache_retention",
  "reasoning_effort",
  "response_format",
  "safety_identifier",
  "service_tier",
  "stream",
  "stream_options",
  "tools",
  "user",
]);

/** Ollama's own members beside `options`. */
const topLevel = new Set(["format", "keep_alive", "think", "truncate"]);

/** Effort levels of Ollama; models that know only on and off take them as on, except the one family that wants the level. */
const efforts: Readonly<Record<string, string>> = {
  minimal: "low",
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "high",
  max: "high",
};
const wantsLevel = /gpt-oss/i;

/**
 * Turns a chat completion request into Ollama's. Parameters of the deployment count where the client set none. What is no
 * member of Ollama's body (`temperature`, `seed`, `stop`, `num_ctx`) is an option of its runner.
 */
export function chatToOllamaRequest(client: JsonObject, settings: TranslationSettings): JsonObject {
  const chat: JsonObject = { ...settings.defaultParams, ...client };
  const body: JsonObject = { model: settings.model, messages: ollamaMessages(chat.messages, settings) };
  const options: JsonObject = { ...objectOf(chat.options) };
  for (const [name, value] of Object.entries(chat)) {
    if (!isPassed(name, value, settings)) continue;
    if (topLevel.has(name)) body[name] = value;
    else options[name] = value;
  }
  if (typeof options.stop === "string") options.stop = [options.stop];
  addLimit(options, chat, settings);
  body.options = options;
  body.stream = settings.stream;
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
      refuseOrDrop(settings, name, `Ollama does not support the parameter '${name}' with this value.`);
    }
    return false;
  }
  return !consumed.has(name) && value !== null;
}

function addLimit(options: JsonObject, chat: JsonObject, { outputTokenCap: cap }: TranslationSettings): void {
  const asked = numberOf(chat.max_completion_tokens) || numberOf(chat.max_tokens) || numberOf(options.num_predict);
  const limit = cap === undefined || (asked > 0 && asked <= cap) ? asked : cap;
  if (limit !== 0) options.num_predict = limit;
}

/** Ollama has no choice of tools: none means that the model sees none. */
function addTools(body: JsonObject, chat: JsonObject, settings: TranslationSettings): void {
  if (chat.tool_choice === "none") return;
  const tools = objectsOf(chat.tools).filter((tool) => {
    if (!isObject(tool.function)) refuseOrDrop(settings, "tools", "Ollama has no tools but functions.");
    return isObject(tool.function);
  });
  if (tools.length === 0) return;
  body.tools = tools.map((tool) => ({ type: "function", function: without(objectOf(tool.function), "strict") }));
}

function addFormat(body: JsonObject, chat: JsonObject): void {
  const format = objectOf(chat.response_format);
  if (format.type === "json_object") body.format ??= "json";
  else if (format.type === "json_schema") body.format ??= objectOf(objectOf(format.json_schema).schema);
}

/** An explicit `think` wins. */
function addThinking(body: JsonObject, chat: JsonObject, settings: TranslationSettings): void {
  const effort = textOf(chat.reasoning_effort);
  if (effort === "" || effort === "default" || effort === "auto" || body.think !== undefined) return;
  const level = Object.hasOwn(efforts, effort) ? efforts[effort] : undefined;
  if (effort === "none" || effort === "disable") body.think = false;
  else if (level !== undefined) body.think = wantsLevel.test(settings.model) ? level : true;
  else refuseOrDrop(settings, "reasoning_effort", `Ollama has no reasoning effort '${effort}'.`);
}
