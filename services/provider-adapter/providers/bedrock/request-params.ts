import type { JsonObject, JsonValue } from "../../provider.ts";
import { fitThinking, thinkingOf } from "../../translate/chat-to-messages/request-params.ts";
import { isObject, objectOf, textOf } from "../../translate/json-reading.ts";
import { withoutCounterpart } from "../../translate/neutral-values.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import type { BedrockModel } from "./bedrock-model.ts";
import { tierOf } from "./upstream-request.ts";

/** OpenAI's parameters without a counterpart at Converse, each with the values that ask for nothing. */
const unsupported = withoutCounterpart(
  "audio",
  "frequency_penalty",
  "logit_bias",
  "logprobs",
  "modalities",
  "n",
  "prediction",
  "presence_penalty",
  "seed",
  "store",
  "top_logprobs",
  "verbosity",
);

/** Anthropic's parameters without one; Bedrock reaches no MCP server and keeps no container. */
const unsupportedOfMessages: Readonly<Record<string, (value: JsonValue) => boolean>> = {
  container: () => false,
  mcp_servers: (value) => Array.isArray(value) && value.length === 0,
};

/** Parameters that are translated elsewhere, and hints that change no answer. */
const consumed = new Set([
  "betas",
  "cache_control",
  "diagnostics",
  "function_call",
  "functions",
  "inference_geo",
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "output_format",
  "parallel_tool_calls",
  "prompt_cache_key",
  "prompt_cache_retention",
  "reasoning_effort",
  "response_format",
  "safety_identifier",
  "service_tier",
  "stop",
  "stop_sequences",
  "stream",
  "stream_options",
  "system",
  "temperature",
  "thinking",
  "tool_choice",
  "tools",
  "top_k",
  "top_p",
  "user",
  "web_search_options",
]);

/** Converse's own members; every other one that passes is the model's and goes into `additionalModelRequestFields`. */
const converseMembers = new Set([
  "additionalModelResponseFieldPaths",
  "guardrailConfig",
  "outputConfig",
  "performanceConfig",
  "promptVariables",
  "requestMetadata",
  "serviceTier",
]);

/** What of a body passes under its own name, by where it goes. */
export interface PassedParams {
  readonly converse: JsonObject;
  readonly additional: JsonObject;
}

/**
 * The members of a chat or Messages body that are not translated. The rule: what the dialect defines and Bedrock has no
 * word for is refused by name; everything else passes unchanged, because Bedrock or the model takes it, or it is new.
 */
export function passedParams(
  body: JsonObject,
  dialect: "chat" | "messages",
  settings: TranslationSettings,
): PassedParams {
  const refused = dialect === "chat" ? unsupported : unsupportedOfMessages;
  const converse: JsonObject = {};
  const additional: JsonObject = { ...objectOf(body.additionalModelRequestFields) };
  for (const [name, value] of Object.entries(body)) {
    if (name === "additionalModelRequestFields" || value === null) continue;
    const allowed = settings.allowedParams.includes(name);
    if (converseMembers.has(name)) converse[name] = value;
    else if (Object.hasOwn(refused, name) && !allowed) {
      if (refused[name]?.(value) === true) continue;
      refuseOrDrop(settings, name, `Bedrock's Converse API does not support the parameter '${name}'.`);
    } else if (!consumed.has(name)) additional[name] = value;
  }
  return { converse, additional };
}

/** `top_k` in the words of the model's family. */
export function addTopK(additional: JsonObject, topK: JsonValue | undefined, { family }: BedrockModel): void {
  if (typeof topK !== "number") return;
  if (family === "nova") additional.inferenceConfig = { ...objectOf(additional.inferenceConfig), topK };
  else additional.top_k = topK;
}

/** `inferenceConfig`; undefined where the client leaves everything to the model. */
export function inferenceConfig(
  body: JsonObject,
  stop: JsonValue[] | undefined,
  maxTokens: number | undefined,
  model: BedrockModel,
  settings: TranslationSettings,
): JsonObject | undefined {
  const config: JsonObject = {};
  if (maxTokens !== undefined) config.maxTokens = maxTokens;
  if (!settings.dropParams || model.family !== "claude" || !model.claude.refusesSampling) {
    if (typeof body.temperature === "number") config.temperature = body.temperature;
    if (typeof body.top_p === "number") config.topP = body.top_p;
  }
  if (stop !== undefined && stop.length > 0) config.stopSequences = stop;
  return Object.keys(config).length > 0 ? config : undefined;
}

/** The tier of a request; undefined where none is asked for. */
export function serviceTier(tier: JsonValue | undefined): JsonObject | undefined {
  const type = tierOf(tier);
  return type === undefined ? undefined : { type };
}

/** Nova's efforts. https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html */
const novaEfforts: Readonly<Record<string, string>> = { minimal: "low", low: "low", medium: "medium", high: "high" };

/**
 * Members of `additionalModelRequestFields` that make a model reason, in the words of its family. `reasoning_effort` of a
 * family that has none for it is refused, or passes under its own name where it is allowed.
 */
export function reasoningFields(
  body: JsonObject,
  model: BedrockModel,
  maxTokens: number | undefined,
  settings: TranslationSettings,
): JsonObject {
  const limit = maxTokens ?? model.claude.defaultMaxTokens;
  if (model.family === "claude") return claudeThinking(body, model, limit, settings);
  const effort = askedEffort(body);
  if (effort === "" || effort === "none" || effort === "disable" || effort === "auto" || effort === "default")
    return {};
  const capped = novaEfforts[effort] ?? "high";
  if (model.reasonsByLevel) {
    return { reasoningConfig: { type: "enabled", maxReasoningEffort: capped } };
  }
  if (model.family === "openai") return { reasoning_effort: capped };
  if (model.family === "qwen") return { reasoning_config: capped };
  if (model.family === "unknown") return claudeThinking(body, model, limit, settings);
  if (!isObject(body.thinking) && settings.allowedParams.includes("reasoning_effort"))
    return { reasoning_effort: effort };
  refuseOrDrop(
    settings,
    isObject(body.thinking) ? "thinking" : "reasoning_effort",
    "This model cannot be told to reason.",
  );
  return {};
}

function askedEffort(body: JsonObject): string {
  const asked = body.reasoning_effort;
  const effort = isObject(asked) ? textOf(asked.effort) : textOf(asked);
  if (effort !== "" || !isObject(body.thinking)) return effort || textOf(objectOf(body.output_config).effort);
  return body.thinking.type === "disabled" ? "none" : textOf(objectOf(body.output_config).effort) || "medium";
}

function claudeThinking(
  body: JsonObject,
  { claude }: BedrockModel,
  maxTokens: number,
  settings: TranslationSettings,
): JsonObject {
  const given = isObject(body.thinking) ? fitThinking(body.thinking, maxTokens) : undefined;
  const { thinking = given, effort } = thinkingOf(body, claude, maxTokens, settings);
  const fields: JsonObject = {};
  if (thinking !== undefined) fields.thinking = thinking;
  if (effort !== undefined) fields.output_config = { effort };
  return fields;
}
