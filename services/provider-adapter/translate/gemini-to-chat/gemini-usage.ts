import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { countOf, objectsOf, textOf } from "../json-reading.ts";

/** Counts of a `usageMetadata`, https://ai.google.dev/api/generate-content#UsageMetadata */
interface Counts {
  /** All input: cached tokens, and the results of tools that Gemini ran itself, included. */
  readonly input: number;
  /** All output, thoughts included. */
  readonly output: number;
  readonly cached: number;
  readonly thoughts: number;
}

/**
 * Gathers the usage of an answer. Every event of a stream may carry one; a later report replaces an earlier one, member
 * by member. Gemini counts thoughts apart from the candidates' tokens, and cached input within the prompt's.
 */
export class GeminiUsage {
  #metadata: JsonObject = {};
  readonly #searches = new Set<string>();

  read(metadata: JsonObject): void {
    this.#metadata = { ...this.#metadata, ...metadata };
  }

  /** Counts the searches that an answer is grounded in; each is billed once. */
  readSearches(queries: readonly JsonValue[]): void {
    for (const query of queries) this.#searches.add(textOf(query));
  }

  /** The canonical counts. With `estimatedOutput` the output is at least that. */
  canonical(estimatedOutput?: number): Usage {
    const { input, output, cached, thoughts } = this.#counts();
    const audio = this.#modality("promptTokensDetails", "AUDIO") - this.#modality("cacheTokensDetails", "AUDIO");
    return create(UsageSchema, {
      inputTokens: BigInt(Math.max(0, input - cached)),
      outputTokens: BigInt(Math.max(output, estimatedOutput ?? 0)),
      cacheReadTokens: BigInt(cached),
      reasoningTokens: BigInt(thoughts),
      inputAudioTokens: BigInt(Math.max(0, audio)),
      outputAudioTokens: BigInt(this.#modality("candidatesTokensDetails", "AUDIO")),
      toolCalls: BigInt(this.#searches.size),
      estimated: estimatedOutput !== undefined,
    });
  }

  /** The `usage` of a chat completion: OpenAI's counts, in which completion tokens include reasoning. */
  chatUsage(): JsonObject {
    const { input, output, cached, thoughts } = this.#counts();
    const usage: JsonObject = {
      prompt_tokens: input,
      completion_tokens: output,
      total_tokens: input + output,
      prompt_tokens_details: { cached_tokens: cached, audio_tokens: this.#modality("promptTokensDetails", "AUDIO") },
      completion_tokens_details: {
        reasoning_tokens: thoughts,
        audio_tokens: this.#modality("candidatesTokensDetails", "AUDIO"),
      },
    };
    if (this.#searches.size > 0) usage.server_tool_use = { web_search_requests: this.#searches.size };
    return usage;
  }

  /** The tier that served the call, in OpenAI's words; empty where none was told. */
  serviceTier(): string {
    const tier = textOf(this.#metadata.serviceTier).toLowerCase();
    return tier === "standard" ? "default" : tier;
  }

  #counts(): Counts {
    const prompt = this.#count("promptTokenCount");
    const candidates = this.#count("candidatesTokenCount");
    const thoughts = this.#count("thoughtsTokenCount");
    const tools = this.#count("toolUsePromptTokenCount");
    // Some models count thoughts among the candidates' tokens; the total then leaves no room for them.
    const within =
      thoughts > 0 && candidates >= thoughts && prompt + tools + candidates === this.#count("totalTokenCount");
    return {
      input: prompt + tools,
      output: within ? candidates : candidates + thoughts,
      cached: Math.min(this.#count("cachedContentTokenCount"), prompt + tools),
      thoughts,
    };
  }

  #count(name: string): number {
    return countOf(this.#metadata[name]) ?? 0;
  }

  #modality(details: string, modality: string): number {
    const found = objectsOf(this.#metadata[details]).find((detail) => detail.modality === modality);
    return countOf(found?.tokenCount) ?? 0;
  }
}
