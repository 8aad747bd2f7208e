import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { countOf, isObject, objectOf, objectsOf, textOf } from "../json-reading.ts";

/** Counts of one or several Anthropic `usage` objects. Anthropic counts cached input apart from input. */
interface Counts {
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
  cacheWrite1h: number;
  reasoning: number;
  serverTools: number;
  /** Input and output of iterations that the totals leave out although they are billed. */
  extraInput: number;
  extraOutput: number;
}

const zero: Counts = {
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite: 0,
  cacheWrite1h: 0,
  reasoning: 0,
  serverTools: 0,
  extraInput: 0,
  extraOutput: 0,
};

/**
 * Gathers the usage of an answer. Within one message the counts are cumulative: a later report replaces an earlier one,
 * member by member. `nextMessage` begins another message of the same stream, whose counts add up.
 */
export class MessageUsage {
  #settled: Counts = { ...zero };
  #current: Counts = { ...zero };
  #serverToolUse: JsonObject | undefined;
  #serviceTier = "";

  read(usage: JsonObject): void {
    const counts = this.#current;
    counts.input = own(usage.input_tokens, counts.input);
    counts.output = own(usage.output_tokens, counts.output);
    counts.cacheRead = own(usage.cache_read_input_tokens, counts.cacheRead);
    this.#readCacheWrites(usage);
    const details = objectOf(usage.output_tokens_details);
    counts.reasoning = own(details.thinking_tokens, counts.reasoning);
    if (isObject(usage.server_tool_use)) {
      this.#serverToolUse = usage.server_tool_use;
      counts.serverTools = Object.values(usage.server_tool_use).reduce<number>((sum, n) => sum + own(n, 0), 0);
    }
    if (Array.isArray(usage.iterations)) this.#readIterations(objectsOf(usage.iterations));
    this.#serviceTier = textOf(usage.service_tier) || this.#serviceTier;
  }

  nextMessage(): void {
    const sum = { ...this.#settled };
    for (const name of countNames) sum[name] += this.#current[name];
    this.#settled = sum;
    this.#current = { ...zero };
  }

  /** The canonical counts, billed iterations included. With `estimatedOutput` the output is at least that. */
  canonical(estimatedOutput?: number): Usage {
    const counts = this.#total();
    return create(UsageSchema, {
      inputTokens: BigInt(counts.input + counts.extraInput),
      outputTokens: BigInt(Math.max(counts.output, estimatedOutput ?? 0) + counts.extraOutput),
      cacheReadTokens: BigInt(counts.cacheRead),
      cacheWriteTokens: BigInt(counts.cacheWrite),
      cacheWrite1hTokens: BigInt(counts.cacheWrite1h),
      reasoningTokens: BigInt(counts.reasoning),
      toolCalls: BigInt(counts.serverTools),
      estimated: estimatedOutput !== undefined,
    });
  }

  /** The `usage` of a chat completion: OpenAI's counts, in which prompt tokens include cached ones, and LiteLLM's extras. */
  chatUsage(): JsonObject {
    const counts = this.#total();
    const written = counts.cacheWrite + counts.cacheWrite1h;
    const prompt = counts.input + counts.cacheRead + written;
    const usage: JsonObject = {
      prompt_tokens: prompt,
      completion_tokens: counts.output,
      total_tokens: prompt + counts.output,
      prompt_tokens_details: { cached_tokens: counts.cacheRead, cache_creation_tokens: written },
      cache_creation_input_tokens: written,
      cache_read_input_tokens: counts.cacheRead,
    };
    if (counts.reasoning > 0) usage.completion_tokens_details = { reasoning_tokens: counts.reasoning };
    if (this.#serverToolUse !== undefined) usage.server_tool_use = this.#serverToolUse;
    return usage;
  }

  /** The tier that served the call, in OpenAI's words; empty where none was told. */
  serviceTier(): string {
    return this.#serviceTier === "standard" ? "default" : this.#serviceTier;
  }

  #total(): Counts {
    const sum = { ...this.#settled };
    for (const name of countNames) sum[name] += this.#current[name];
    return sum;
  }

  #readCacheWrites(usage: JsonObject): void {
    const counts = this.#current;
    const split = usage.cache_creation;
    if (isObject(split)) {
      counts.cacheWrite = own(split.ephemeral_5m_input_tokens, 0);
      counts.cacheWrite1h = own(split.ephemeral_1h_input_tokens, 0);
    }
    // The closing report of a stream has the sum without the split; what it adds is counted as short-lived.
    const sum = countOf(usage.cache_creation_input_tokens);
    if (sum !== undefined) counts.cacheWrite = Math.max(0, sum - counts.cacheWrite1h);
  }

  /** The totals cover the main model's messages; a compaction or an advisor is billed on top. */
  #readIterations(iterations: readonly JsonObject[]): void {
    const counts = this.#current;
    counts.extraInput = 0;
    counts.extraOutput = 0;
    for (const iteration of iterations) {
      if (iteration.type === "message" || iteration.type === "fallback_message") continue;
      counts.extraInput += own(iteration.input_tokens, 0);
      counts.extraOutput += own(iteration.output_tokens, 0);
    }
  }
}

const countNames = [
  "input",
  "output",
  "cacheRead",
  "cacheWrite",
  "cacheWrite1h",
  "reasoning",
  "serverTools",
  "extraInput",
  "extraOutput",
] as const;

function own(value: JsonObject[string] | undefined, before: number): number {
  return countOf(value) ?? before;
}
