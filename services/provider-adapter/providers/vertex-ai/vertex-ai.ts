import type { Provider, ProviderCall } from "../../provider.ts";
import { withGenerateContent } from "../../translate/gemini-over-chat.ts";
import { vertexEmbeddings } from "../gemini/embeddings-exchange.ts";
import { createGeminiProvider } from "../gemini/gemini.ts";
import { countMembers } from "../gemini/token-count.ts";
import { createClaudeExchange } from "./claude-exchange.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

const geminiModels = createGeminiProvider({ id: providerId, request: upstreamRequest }, vertexEmbeddings, countMembers);
const claudeModels = withGenerateContent({ ...geminiModels, takesGenerateContent: false, begin: createClaudeExchange });

/**
 * Vertex AI, https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference: Gemini models speak as
 * at AI Studio, and Claude models as at Anthropic, under another address and with Google Cloud's credentials. Models of
 * other vendors are not offered.
 */
export const vertexAi: Provider = {
  ...geminiModels,
  authorizer: "google-token",
  begin: (call) => (isClaude(call) ? claudeModels : geminiModels).begin(call),
  countTokens: (call) => (isClaude(call) ? undefined : geminiModels.countTokens?.(call)),
};

function isClaude({ model }: ProviderCall): boolean {
  return /(?:^|\/)claude-/.test(model);
}
