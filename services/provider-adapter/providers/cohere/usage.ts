import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { countOf, isObject, objectOf } from "../../translate/json-reading.ts";

/**
 * What is metered: Cohere's `billed_units`, which is what it charges for; `tokens` counts its own prompt template too.
 * Where there are none, `tokens`. Undefined where there is no usage at all.
 */
export function readUsage(value: JsonValue | undefined): Usage | undefined {
  if (!isObject(value)) return undefined;
  const billed = objectOf(value.billed_units);
  const tokens = objectOf(value.tokens);
  const input = countOf(billed.input_tokens) ?? inputOf(tokens);
  const output = countOf(billed.output_tokens) ?? countOf(tokens.output_tokens);
  if (input === undefined && output === undefined) return undefined;
  const reasoning = countOf(tokens.reasoning_tokens) ?? 0;
  return create(UsageSchema, {
    inputTokens: BigInt(input ?? 0),
    outputTokens: BigInt(output ?? 0),
    reasoningTokens: BigInt(Math.min(reasoning, output ?? 0)),
  });
}

/** What a chat client gets: all tokens that the model read and wrote. Undefined where Cohere says nothing. */
export function chatUsage(value: JsonValue | undefined): JsonObject | undefined {
  if (!isObject(value)) return undefined;
  const tokens = objectOf(value.tokens ?? value.billed_units);
  const prompt = inputOf(tokens) ?? 0;
  const completion = countOf(tokens.output_tokens) ?? 0;
  const usage: JsonObject = {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
  const cached = countOf(value.cached_tokens);
  if (cached !== undefined) usage.prompt_tokens_details = { cached_tokens: Math.min(cached, prompt) };
  const reasoning = countOf(tokens.reasoning_tokens);
  if (reasoning !== undefined) usage.completion_tokens_details = { reasoning_tokens: reasoning };
  return usage;
}

/** What is known of an answer without usage. */
export function estimatedUsage(outputTokens: number): Usage {
  return create(UsageSchema, { outputTokens: BigInt(Math.ceil(outputTokens)), estimated: true });
}

/** Images are counted beside the text. */
function inputOf(tokens: JsonObject): number | undefined {
  const input = countOf(tokens.input_tokens);
  return input === undefined ? undefined : input + (countOf(tokens.image_tokens) ?? 0);
}
