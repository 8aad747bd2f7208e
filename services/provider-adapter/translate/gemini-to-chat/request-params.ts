import type { ChatUpstream, JsonObject } from "../../provider.ts";
import { isObject, listOf, numberOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { cannotReason, effortOfBudget } from "../messages-to-chat/request.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import { closedSchema, jsonSchema } from "./json-schema.ts";
import { camelCased } from "./spelling.ts";

/** Members of a request that are translated, and hints that change no answer. */
const consumed = new Set([
  "contents",
  "generationConfig",
  "labels",
  "model",
  "systemInstruction",
  "toolConfig",
  "tools",
]);

/** Members of `generationConfig` with another name in a chat completion. */
const renamed: Readonly<Record<string, string>> = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  seed: "seed",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
  responseLogprobs: "logprobs",
  logprobs: "top_logprobs",
};

/** OpenAI's own models refuse `top_k`, which Google's agents send with every call. */
const withoutTopK = /^(?:chatgpt-|gpt-(?!oss)|o\d)/;

/** Members of `generationConfig` that are translated below, and hints that change no answer. */
const translated = new Set([
  "audioTimestamp",
  "candidateCount",
  "enableEnhancedCivicAnswers",
  "maxOutputTokens",
  "mediaResolution",
  "responseJsonSchema",
  "responseMimeType",
  "responseModalities",
  "responseSchema",
  "stopSequences",
  "thinkingConfig",
  "_responseJsonSchema",
]);

/** Thresholds that ask for no filter, which is what other providers do. */
const unfiltered: ReadonlySet<string> = new Set(["BLOCK_NONE", "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"]);

/** Refuses, or leaves out (`drop_params`), what only Google understands: `safetySettings`, `cachedContent`, what is new. */
export function refuseGoogleOnly(request: JsonObject, settings: TranslationSettings): void {
  for (const [name, value] of Object.entries(request)) {
    if (consumed.has(name) || value === null || (name === "safetySettings" && asksForNoFilter(request))) continue;
    refuseOrDrop(settings, name, `This provider does not support '${name}'.`);
  }
}

function asksForNoFilter({ safetySettings }: JsonObject): boolean {
  return objectsOf(safetySettings).every(({ threshold }) => unfiltered.has(textOf(threshold)));
}

/** The parameters of a chat completion that `generationConfig` means. Its names are in camelCase. */
export function chatParams(config: JsonObject, settings: TranslationSettings, upstream: ChatUpstream): JsonObject {
  const chat: JsonObject = {};
  for (const [name, value] of Object.entries(config)) {
    const to = Object.hasOwn(renamed, name) ? renamed[name] : undefined;
    if (value === null || (to === "top_k" && leavesOutTopK(settings))) continue;
    if (to !== undefined) chat[to] = value;
    else if (!translated.has(name)) {
      const param = `generationConfig.${name}`;
      refuseOrDrop(settings, param, `This provider does not support '${param}'.`);
    }
  }
  if (typeof config.maxOutputTokens === "number") chat[upstream.outputLimitField] = config.maxOutputTokens;
  if (numberOf(config.candidateCount) > 1) chat.n = numberOf(config.candidateCount);
  const stop = listOf(config.stopSequences);
  if (stop.length > 0) chat.stop = stop;
  const format = responseFormat(config, settings);
  if (format !== undefined) chat.response_format = format;
  const modalities = modalitiesOf(config, settings);
  if (modalities.length > 0) chat.modalities = modalities;
  const effort = reasoningEffort(camelCased(objectOf(config.thinkingConfig)), settings.model);
  if (effort !== undefined) chat.reasoning_effort = effort;
  return chat;
}

function leavesOutTopK({ model, dropParams, allowedParams }: TranslationSettings): boolean {
  return (dropParams || withoutTopK.test(model)) && !allowedParams.includes("top_k");
}

function responseFormat(config: JsonObject, settings: TranslationSettings): JsonObject | undefined {
  const type = textOf(config.responseMimeType);
  if (type !== "" && type !== "text/plain" && type !== "application/json") {
    const param = "generationConfig.responseMimeType";
    refuseOrDrop(settings, param, `This provider cannot answer in the type '${type}'.`);
    return undefined;
  }
  const own = config.responseJsonSchema ?? config._responseJsonSchema;
  const google = config.responseSchema;
  const schema = isObject(own) ? own : isObject(google) ? jsonSchema(google) : undefined;
  if (schema === undefined) return type === "application/json" ? { type: "json_object" } : undefined;
  return { type: "json_schema", json_schema: { name: "answer", ...closedSchema(schema) } };
}

/** Speech needs a voice, and voices are a provider's own. */
function modalitiesOf(config: JsonObject, settings: TranslationSettings): string[] {
  const asked = listOf(config.responseModalities).map((name) => textOf(name).toLowerCase());
  const known = asked.filter((name) => name === "text" || name === "image");
  if (known.length < asked.length) {
    const param = "generationConfig.responseModalities";
    refuseOrDrop(settings, param, `This provider cannot answer in ${asked.join(" and ")}.`);
  }
  return known.includes("image") ? known : [];
}

/**
 * A level, or a budget by LiteLLM's thresholds. No budget switches thinking off where the model can, else asks for the
 * least; a budget of -1 leaves it to the model. Clients send the same configuration to every model, so that one that
 * cannot think goes without.
 */
function reasoningEffort({ thinkingLevel, thinkingBudget }: JsonObject, model: string): string | undefined {
  if (cannotReason(model)) return undefined;
  const level = textOf(thinkingLevel).toLowerCase();
  if (level !== "" && level !== "thinking_level_unspecified") return level;
  if (typeof thinkingBudget !== "number" || thinkingBudget < 0) return undefined;
  return thinkingBudget === 0 ? leastEffort(model) : effortOfBudget(thinkingBudget);
}

/** https://platform.openai.com/docs/guides/reasoning: `none` came with gpt-5.1, `minimal` with gpt-5. */
function leastEffort(model: string): string {
  if (/(?:^|\/)o\d/.test(model)) return "low";
  return /(?:^|\/)gpt-5(?:-|$)/.test(model) ? "minimal" : "none";
}
