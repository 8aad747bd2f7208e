import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { withoutCounterpart } from "../neutral-values.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import type { ClaudeModel } from "./claude-models.ts";

/**
 * OpenAI's parameters without a counterpart at Anthropic, each with the values that ask for nothing. Any other value is
 * refused, left out (`drop_params`) or passed on (`allowed_openai_params`).
 */
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

/** Parameters that are translated elsewhere, and hints that change no answer (`prompt_cache_key`, …). */
const consumed = new Set([
  "function_call",
  "functions",
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "parallel_tool_calls",
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
  "user",
  "web_search_options",
]);

const sampling = new Set(["temperature", "top_p", "top_k"]);

/**
 * The members of a chat body that go to Anthropic under their own name. The rule: what OpenAI defines and Anthropic has
 * no word for is refused by name (see `unsupported`); everything else that no translator consumes passes unchanged,
 * because Anthropic takes it (`temperature`, `top_k`, `thinking`, `container`, …) or it is new.
 */
export function passedParams(chat: JsonObject, model: ClaudeModel, settings: TranslationSettings): JsonObject {
  const passed: JsonObject = {};
  for (const [name, value] of Object.entries(chat)) {
    if (settings.allowedParams.includes(name) && Object.hasOwn(unsupported, name)) passed[name] = value;
    else if (consumed.has(name) || value === null) continue;
    else if (settings.dropParams && model.refusesSampling && sampling.has(name)) continue;
    else if (Object.hasOwn(unsupported, name)) {
      if (unsupported[name]?.(value) === true) continue;
      refuseOrDrop(settings, name, `Anthropic does not support the parameter '${name}' (value ${brief(value)}).`);
    } else passed[name] = value;
  }
  return passed;
}

function brief(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** `stop` as `stop_sequences`; undefined where there is none. White space alone, which Anthropic refuses, is droppable. */
export function stopSequences(chat: JsonObject, settings: TranslationSettings): JsonValue[] | undefined {
  const stop = Array.isArray(chat.stop) ? chat.stop : [chat.stop];
  const texts = stop.filter((text) => typeof text === "string");
  const usable = settings.dropParams ? texts.filter((text) => text.trim() !== "") : texts;
  return usable.length === 0 ? undefined : usable;
}

/** `user`, or `safety_identifier`, as `metadata.user_id`. Other metadata are labels for OpenAI's store and go nowhere. */
export function requestMetadata(chat: JsonObject): JsonObject | undefined {
  const user = textOf(objectOf(chat.metadata).user_id) || textOf(chat.user) || textOf(chat.safety_identifier);
  return user === "" ? undefined : { user_id: user };
}

/** OpenAI's service tiers in Anthropic's words; Anthropic's own pass. `flex` exists at OpenAI alone. */
export function serviceTier(chat: JsonObject, settings: TranslationSettings): string | undefined {
  const tier = textOf(chat.service_tier);
  if (tier === "default") return "standard_only";
  if (tier === "priority") return "auto";
  if (tier === "flex") {
    refuseOrDrop(settings, "service_tier", "Anthropic has no service tier 'flex'.");
    return undefined;
  }
  return tier === "" ? undefined : tier;
}

/** Thinking budgets of `reasoning_effort` for models without adaptive thinking; LiteLLM's numbers, at least 1024. */
const budgets: Readonly<Record<string, number>> = {
  minimal: 1024,
  low: 1024,
  medium: 2048,
  high: 4096,
  xhigh: 8192,
  max: 16_384,
};

export interface Thinking {
  readonly thinking?: JsonObject;
  readonly effort?: string;
}

/**
 * What `reasoning_effort` means for a model: adaptive thinking with an effort, or a token budget below `maxTokens`. An
 * explicit `thinking` wins. `none` switches thinking off where the model can, else asks for the least. A model that
 * cannot think, as far as is known, refuses the parameter unless it is allowed by name. Budgeted thinking is left out where the last assistant turn is a tool call
 * without its thinking blocks (a client that dropped them): Anthropic would refuse the call.
 */
export function thinkingOf(
  chat: JsonObject,
  model: ClaudeModel,
  maxTokens: number,
  settings: TranslationSettings,
): Thinking {
  const asked = chat.reasoning_effort;
  const effort = isObject(asked) ? textOf(asked.effort) : textOf(asked);
  if (isObject(chat.thinking) || effort === "" || effort === "auto" || effort === "default") return {};
  if (effort === "none" || effort === "disable") return withoutThinking(model);
  const budget = Object.hasOwn(budgets, effort) ? budgets[effort] : undefined;
  const canThink = model.thinking !== "none" || settings.allowedParams.includes("reasoning_effort");
  if (budget === undefined || !canThink) {
    refuseOrDrop(settings, "reasoning_effort", `This model does not support the reasoning_effort '${effort}'.`);
    return {};
  }
  if (model.thinking === "adaptive") {
    const thinking: JsonObject = model.hidesThinking
      ? { type: "adaptive", display: "summarized" }
      : { type: "adaptive" };
    return { thinking, effort: anthropicEffort(effort, model) };
  }
  const fitted = fitThinking({ type: "enabled", budget_tokens: budget }, maxTokens);
  return fitted === undefined || lostThinking(chat) ? {} : { thinking: fitted };
}

function withoutThinking(model: ClaudeModel): Thinking {
  if (!model.thinksByDefault) return {};
  return model.canDisableThinking ? { thinking: { type: "disabled" } } : { effort: "low" };
}

function anthropicEffort(effort: string, model: ClaudeModel): string {
  if (effort === "minimal") return "low";
  return effort === "xhigh" && !model.extraHighEffort ? "max" : effort;
}

/**
 * A thinking configuration whose budget lies below the output limit, as Anthropic demands; undefined where not even the
 * least budget, 1024 tokens, does.
 */
export function fitThinking(thinking: JsonObject, maxTokens: number): JsonObject | undefined {
  const budget = thinking.budget_tokens;
  if (typeof budget !== "number" || budget < maxTokens) return thinking;
  return maxTokens > 1024 ? { ...thinking, budget_tokens: maxTokens - 1 } : undefined;
}

function lostThinking(chat: JsonObject): boolean {
  const last = objectsOf(chat.messages).findLast((message) => message.role === "assistant" || message.role === "user");
  if (last?.role !== "assistant" || objectsOf(last.tool_calls).length === 0) return false;
  const kept = objectsOf(objectOf(last.provider_specific_fields).content_blocks);
  return objectsOf(last.thinking_blocks).length === 0 && !kept.some((block) => block.type === "thinking");
}
