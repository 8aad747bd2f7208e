import type { JsonValue } from "../provider.ts";
import { isObject } from "./json-reading.ts";

/** Whether a parameter with this value asks for nothing, so that it may be left out without a word. */
export type IsNeutral = (value: JsonValue) => boolean;

/** Values of OpenAI's chat parameters that ask for what happens anyway. A parameter that is absent here has none. */
const neutral: Readonly<Record<string, IsNeutral>> = {
  frequency_penalty: (value) => value === 0,
  logit_bias: (value) => isObject(value) && Object.keys(value).length === 0,
  logprobs: (value) => value === false,
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  n: (value) => value === 1,
  parallel_tool_calls: (value) => value === true,
  presence_penalty: (value) => value === 0,
  service_tier: (value) => value === "auto" || value === "default",
  store: (value) => value === false,
  top_logprobs: (value) => value === 0,
  verbosity: (value) => value === "medium",
};

/** A provider's list of parameters that it has no counterpart for, each with its neutral values. */
export function withoutCounterpart(...names: readonly string[]): Readonly<Record<string, IsNeutral>> {
  return Object.fromEntries(names.map((name) => [name, neutral[name] ?? (() => false)]));
}

/**
 * OpenAI's chat parameters that a model which only continues texts has no word for, each with the values that ask for
 * nothing.
 */
export const beyondText: Readonly<Record<string, IsNeutral>> = {
  ...withoutCounterpart(
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "store",
    "top_logprobs",
    "verbosity",
    "web_search_options",
  ),
  response_format: (value) => isObject(value) && value.type === "text",
  tools: (value) => Array.isArray(value) && value.length === 0,
  tool_choice: (value) => value === "none" || value === "auto",
};
