import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject } from "../../provider.ts";

/** Gemini's `usageMetadata` of the canonical counts: thoughts apart from the candidates' tokens, cached input within the prompt's. */
export function usageMetadata(usage: Usage): JsonObject {
  const { inputTokens, cacheReadTokens, cacheWriteTokens, cacheWrite1hTokens, outputTokens, reasoningTokens } = usage;
  const prompt = Number(inputTokens + cacheReadTokens + cacheWriteTokens + cacheWrite1hTokens);
  const output = Number(outputTokens);
  const thoughts = Math.min(Number(reasoningTokens), output);
  const metadata: JsonObject = {
    promptTokenCount: prompt,
    candidatesTokenCount: output - thoughts,
    totalTokenCount: prompt + output,
  };
  if (cacheReadTokens > 0n) metadata.cachedContentTokenCount = Number(cacheReadTokens);
  if (thoughts > 0) metadata.thoughtsTokenCount = thoughts;
  if (usage.inputAudioTokens > 0n) metadata.promptTokensDetails = [audio(usage.inputAudioTokens)];
  if (usage.outputAudioTokens > 0n) metadata.candidatesTokensDetails = [audio(usage.outputAudioTokens)];
  return metadata;
}

function audio(tokens: bigint): JsonObject {
  return { modality: "AUDIO", tokenCount: Number(tokens) };
}
