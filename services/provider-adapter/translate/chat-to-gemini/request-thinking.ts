import type { JsonObject } from "../../provider.ts";
import { isObject, objectOf, textOf } from "../json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import type { GeminiModel } from "./gemini-models.ts";

/** Thinking budgets of `reasoning_effort` for models that think by budget; LiteLLM's numbers. */
const budgets: Readonly<Record<string, number>> = {
  minimal: 0,
  low: 1024,
  medium: 2048,
  high: 4096,
  xhigh: 8192,
  max: 16_384,
};

/**
 * `generationConfig.thinkingConfig` of `reasoning_effort`, or of Anthropic's `thinking`, which wins as the more exact
 * one. Asking for thinking asks for its summary too. `none` switches thinking off where the model can, else asks for the
 * least. A model that cannot think, as far as is known, refuses the parameter unless it is allowed by name. Undefined where nothing was asked for.
 */
export function thinkingConfig(
  chat: JsonObject,
  model: GeminiModel,
  settings: TranslationSettings,
): JsonObject | undefined {
  if (isObject(chat.thinking)) return explicitThinking(chat.thinking, model);
  const asked = chat.reasoning_effort;
  const effort = isObject(asked) ? textOf(asked.effort) : textOf(asked);
  if (effort === "" || effort === "auto" || effort === "default") return undefined;
  const off = effort === "none" || effort === "disable";
  if (model.thinking === "none" && off) return undefined;
  const canThink = model.thinking !== "none" || settings.allowedParams.includes("reasoning_effort");
  if (!canThink || !(off || Object.hasOwn(budgets, effort))) {
    refuseOrDrop(settings, "reasoning_effort", `This model does not support the reasoning_effort '${effort}'.`);
    return undefined;
  }
  if (off) return withoutThinking(model);
  if (model.thinking === "level") return { thinkingLevel: levelOf(effort, model), includeThoughts: true };
  return { thinkingBudget: Math.max(budgets[effort] ?? 0, model.leastBudget), includeThoughts: true };
}

function explicitThinking(thinking: JsonObject, model: GeminiModel): JsonObject | undefined {
  if (model.thinking === "none") return undefined;
  if (thinking.type === "disabled") return withoutThinking(model);
  const budget = thinking.budget_tokens;
  return typeof budget === "number" ? { thinkingBudget: budget, includeThoughts: true } : { includeThoughts: true };
}

function withoutThinking(model: GeminiModel): JsonObject {
  if (model.thinking === "level") return { thinkingLevel: levelOf("minimal", model), includeThoughts: false };
  return { thinkingBudget: model.canDisableThinking ? 0 : model.leastBudget, includeThoughts: false };
}

function levelOf(effort: string, model: GeminiModel): string {
  if (effort === "minimal") return model.minimalLevel ? "minimal" : "low";
  return effort === "low" || effort === "medium" ? effort : "high";
}

/** Whether a configuration that the client wrote in Gemini's own words says how to think. */
export function hasThinking(config: JsonObject): boolean {
  return Object.keys(objectOf(config.thinkingConfig)).length > 0;
}
