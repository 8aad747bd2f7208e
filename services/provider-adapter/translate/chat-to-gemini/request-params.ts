import type { JsonObject } from "../../provider.ts";
import { isObject, numberOf, objectOf, textOf } from "../json-reading.ts";
import { withoutCounterpart } from "../neutral-values.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import type { GeminiModel } from "./gemini-models.ts";
import { geminiSchema } from "./json-schema.ts";
import { hasThinking, thinkingConfig } from "./request-thinking.ts";

/**
 * OpenAI's parameters without a counterpart at Gemini, each with the values that ask for nothing. Any other value is
 * refused, left out (`drop_params`) or passed on (`allowed_openai_params`).
 */
const unsupported = withoutCounterpart("logit_bias", "prediction", "service_tier", "store", "verbosity");

/** Parameters that are translated, and hints that change no answer (`user`, `prompt_cache_key`, …). */
const consumed = new Set([
  "audio",
  "frequency_penalty",
  "function_call",
  "functions",
  "generationConfig",
  "logprobs",
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "modalities",
  "model",
  "n",
  "parallel_tool_calls",
  "presence_penalty",
  "prompt_cache_key",
  "prompt_cache_retention",
  "reasoning_effort",
  "response_format",
  "safety_identifier",
  "seed",
  "stop",
  "stream",
  "stream_options",
  "temperature",
  "thinking",
  "toolConfig",
  "tool_choice",
  "tools",
  "top_k",
  "top_logprobs",
  "top_p",
  "user",
  "web_search_options",
]);

/** Gemini's own members as LiteLLM's users spell them. */
const spellings: Readonly<Record<string, string>> = {
  safety_settings: "safetySettings",
  cached_content: "cachedContent",
};

/**
 * The members of a chat body that go to Gemini under their own name. The rule: what OpenAI defines and Gemini has no word
 * for is refused by name (see `unsupported`); everything else that no translator consumes passes unchanged, because
 * Gemini takes it (`safetySettings`, `cachedContent`, `labels`, …) or it is new.
 */
export function passedParams(chat: JsonObject, settings: TranslationSettings): JsonObject {
  const passed: JsonObject = {};
  for (const [name, value] of Object.entries(chat)) {
    if (settings.allowedParams.includes(name) && Object.hasOwn(unsupported, name)) passed[name] = value;
    else if (consumed.has(name) || value === null) continue;
    else if (Object.hasOwn(unsupported, name)) {
      if (unsupported[name]?.(value) === true) continue;
      refuseOrDrop(settings, name, `Gemini does not support the parameter '${name}'.`);
    } else passed[spellings[name] ?? name] = value;
  }
  return passed;
}

/** Numbers and flags that Gemini knows under another name. */
const renamed: Readonly<Record<string, string>> = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  seed: "seed",
  presence_penalty: "presencePenalty",
  frequency_penalty: "frequencyPenalty",
};

/** `generationConfig`: what the client wrote in Gemini's own words wins over what is translated, but never over the cap. */
export function generationConfig(chat: JsonObject, model: GeminiModel, settings: TranslationSettings): JsonObject {
  const config: JsonObject = {};
  for (const [from, to] of Object.entries(renamed)) {
    const value = chat[from];
    if (value !== undefined && value !== null) config[to] = value;
  }
  if (numberOf(chat.n) > 1) config.candidateCount = numberOf(chat.n);
  const stop = (Array.isArray(chat.stop) ? chat.stop : [chat.stop]).filter((text) => typeof text === "string");
  if (stop.length > 0) config.stopSequences = stop;
  if (chat.logprobs === true) {
    config.responseLogprobs = true;
    if (numberOf(chat.top_logprobs) > 0) config.logprobs = numberOf(chat.top_logprobs);
  }
  const limit = numberOf(chat.max_completion_tokens) || numberOf(chat.max_tokens);
  if (limit > 0) config.maxOutputTokens = limit;
  addFormat(config, objectOf(chat.response_format));
  addModalities(config, chat);
  const native = objectOf(chat.generationConfig);
  const thinking = hasThinking(native) ? undefined : thinkingConfig(chat, model, settings);
  if (thinking !== undefined) config.thinkingConfig = thinking;
  return capped({ ...config, ...native }, settings.outputTokenCap);
}

function capped(config: JsonObject, cap: number | undefined): JsonObject {
  if (cap === undefined) return config;
  const limit = numberOf(config.maxOutputTokens);
  return { ...config, maxOutputTokens: limit > 0 ? Math.min(limit, cap) : cap };
}

function addFormat(config: JsonObject, format: JsonObject): void {
  if (format.type !== "json_object" && format.type !== "json_schema") return;
  config.responseMimeType = "application/json";
  const schema = objectOf(format.json_schema).schema ?? format.response_schema;
  if (isObject(schema)) config.responseJsonSchema = geminiSchema(schema);
}

/** `modalities`, and the voice of `audio`. Gemini answers audio in its own PCM, whatever format is asked for. */
function addModalities(config: JsonObject, chat: JsonObject): void {
  const asked = Array.isArray(chat.modalities) ? chat.modalities.map((name) => textOf(name).toUpperCase()) : [];
  // Models that speak answer in sound alone, and refuse to write beside it.
  const modalities = asked.includes("AUDIO") ? ["AUDIO"] : asked;
  if (modalities.some((name) => name !== "TEXT")) config.responseModalities = modalities;
  const voice = textOf(objectOf(chat.audio).voice);
  if (voice !== "") config.speechConfig = { voiceConfig: { prebuiltVoiceConfig: { voiceName: voice } } };
}
