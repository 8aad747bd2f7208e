import type { Provider } from "../provider.ts";
import { anthropic } from "./anthropic/anthropic.ts";
import { mock } from "./mock/mock.ts";
import { createOpenAiCompatibleProviders } from "./openai-compatible/provider.ts";

/** Every provider there is, by id. */
export function createProviders(): ReadonlyMap<string, Provider> {
  const providers = [...createOpenAiCompatibleProviders(), anthropic, mock];
  return new Map(providers.map((provider) => [provider.id, provider]));
}
