import type { JsonObject, JsonValue } from "../../provider.ts";
import { numberOf } from "../../translate/json-reading.ts";
import { beyondText, withoutCounterpart } from "../../translate/neutral-values.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";

/**
 * What becomes of a parameter: another name, or a function that gives the members for a value, undefined for a value that
 * the provider cannot take.
 */
export type ParamRule = string | ((value: JsonValue) => JsonObject | undefined);

/** How a provider takes OpenAI's parameters of a chat. */
export interface ParamTable {
  /** Whose table it is, for errors. */
  readonly owner: string;
  /** The field that limits the output. */
  readonly limit: string;
  /** A parameter of OpenAI's that is not here is refused. */
  readonly rules: Readonly<Record<string, ParamRule>>;
  /** Parameters that are translated elsewhere. */
  readonly elsewhere: readonly string[];
}

/** OpenAI's parameters that change an answer. */
const openAiParams = { ...beyondText, ...withoutCounterpart("stop", "temperature", "top_k", "top_p") };

/** Hints that change no answer, and what every dialect has in a way of its own. */
const neverPassed = new Set([
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "prompt_cache_key",
  "prompt_cache_retention",
  "safety_identifier",
  "service_tier",
  "stream",
  "stream_options",
  "user",
]);

/**
 * The parameters of a chat in the provider's words. What it cannot take is refused by name, left out (`drop_params`) or
 * passed on as it is (`allowed_openai_params`); what OpenAI does not know passes as it is.
 */
export function translateParams(chat: JsonObject, settings: TranslationSettings, table: ParamTable): JsonObject {
  const params: JsonObject = {};
  for (const [name, value] of Object.entries(chat)) {
    if (value === null || table.elsewhere.includes(name)) continue;
    Object.assign(params, translateParam(name, value, settings, table));
  }
  const asked = numberOf(chat.max_completion_tokens) || numberOf(chat.max_tokens);
  const { outputTokenCap: cap } = settings;
  const limit = asked > 0 ? Math.min(asked, cap ?? asked) : cap;
  if (limit !== undefined) params[table.limit] = limit;
  return params;
}

function translateParam(
  name: string,
  value: JsonValue,
  settings: TranslationSettings,
  { owner, rules }: ParamTable,
): JsonObject {
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (typeof rule === "string") return { [rule]: value };
  const members = rule?.(value);
  if (members !== undefined) return members;
  const asksForNothing = Object.hasOwn(openAiParams, name) ? openAiParams[name] : undefined;
  if (asksForNothing === undefined && rule === undefined) return neverPassed.has(name) ? {} : { [name]: value };
  if (settings.allowedParams.includes(name)) return { [name]: value };
  if (asksForNothing?.(value) !== true) {
    refuseOrDrop(settings, name, `${owner} does not support the parameter '${name}' with this value.`);
  }
  return {};
}

/** A rule for `stop`, which may be one text or a list of them. */
export function stopList(field: string): ParamRule {
  return (value) => ({ [field]: typeof value === "string" ? [value] : value });
}
