import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonValue } from "../../provider.ts";
import { countOf, isObject, objectOf } from "../../translate/json-reading.ts";

/**
 * Reads a `usage` object in OpenAI's words, of chat (`prompt_tokens`, `completion_tokens`) or of responses
 * (`input_tokens`, `output_tokens`), with what providers add to it: DeepSeek's `prompt_cache_hit_tokens`, Mistral's
 * `num_cached_tokens`, OpenRouter's `server_tool_use_details`. Their input counts include cached tokens, the canonical
 * ones do not. Undefined where it is no usage.
 */
export function readUsage(value: JsonValue | undefined): Usage | undefined {
  if (!isObject(value)) return undefined;
  const usage = value;
  const input = count(usage.prompt_tokens, usage.input_tokens);
  const output = count(usage.completion_tokens, usage.output_tokens);
  if (input === undefined && output === undefined) return undefined;
  const inputDetails = objectOf(usage.prompt_tokens_details ?? usage.input_tokens_details);
  const outputDetails = objectOf(usage.completion_tokens_details ?? usage.output_tokens_details);
  const tools = objectOf(usage.server_tool_use_details ?? usage.server_tool_use);
  const all = input ?? 0;
  const read = Math.min(
    all,
    count(inputDetails.cached_tokens, usage.prompt_cache_hit_tokens, usage.num_cached_tokens) ?? 0,
  );
  const written = Math.min(all - read, count(inputDetails.cache_write_tokens) ?? 0);
  const fresh = all - read - written;
  const reasoning = count(outputDetails.reasoning_tokens) ?? 0;
  const generated = withReasoning(output ?? 0, reasoning, all, count(usage.total_tokens));
  return {
    $typeName: UsageSchema.typeName,
    inputTokens: BigInt(fresh),
    outputTokens: BigInt(generated),
    cacheReadTokens: BigInt(read),
    cacheWriteTokens: BigInt(written),
    cacheWrite1hTokens: 0n,
    reasoningTokens: BigInt(Math.min(reasoning, generated)),
    inputAudioTokens: BigInt(Math.min(fresh, count(inputDetails.audio_tokens) ?? 0)),
    outputAudioTokens: BigInt(Math.min(generated, count(outputDetails.audio_tokens) ?? 0)),
    toolCalls: BigInt(count(tools.web_search_requests) ?? 0),
    estimated: false,
  };
}

/** What is known of an answer without usage: its size. */
export function estimatedUsage(outputTokens: number): Usage {
  return create(UsageSchema, { outputTokens: BigInt(Math.ceil(outputTokens)), estimated: true });
}

/** Some providers (xAI) count reasoning beside the completion; the total tells. */
function withReasoning(output: number, reasoning: number, input: number, total: number | undefined): number {
  return total !== undefined && reasoning > 0 && total === input + output + reasoning ? output + reasoning : output;
}

/** The first of the values that is a sane count. */
function count(...values: (JsonValue | undefined)[]): number | undefined {
  for (const value of values) {
    const found = countOf(value);
    if (found !== undefined) return found;
  }
  return undefined;
}
