import { replayAnthropic } from "./anthropic.ts";
import { replayAzure } from "./azure.ts";
import { replayBedrock } from "./bedrock.ts";
import { replayCohere } from "./cohere.ts";
import { replayCountTokens } from "./count-tokens.ts";
import { replayGemini } from "./gemini.ts";
import { replayOllamaChat } from "./ollama-chat.ts";
import type { ReplayResult } from "./recording.ts";
import { replayRetrieval } from "./retrieval.ts";

const replays = [
  ["anthropic", replayAnthropic],
  ["azure", replayAzure],
  ["bedrock", replayBedrock],
  ["cohere", replayCohere],
  ["all", replayCountTokens],
  ["google", replayGemini],
  ["ollama", replayOllamaChat],
  ["retrieval", replayRetrieval],
] as const;

/** Every replay through a provider alone, without a network. */
export function replayPurely(folder: string): ReplayResult[] {
  return replays.flatMap(([group, run]) =>
    run(folder).map((result) => ({ ...result, name: `${group}, ${result.name}` })),
  );
}
