import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Provider, ProviderCall } from "../../provider.ts";
import { withGenerateContent } from "../../translate/gemini-over-chat.ts";
import { vertexEmbeddings } from "../gemini/embeddings-exchange.ts";
import { createGeminiProvider } from "../gemini/gemini.ts";
import { countMembers } from "../gemini/token-count.ts";
import { createClaudeExchange } from "./claude-exchange.ts";
import { createPartnerExchange, partnerModelOf } from "./partner-exchange.ts";
import { createRerankExchange } from "./rerank-exchange.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

const geminiModels = createGeminiProvider({ id: providerId, request: upstreamRequest }, vertexEmbeddings, countMembers);
const otherModels = { ...geminiModels, takesGenerateContent: false };
const claudeModels = withGenerateContent({ ...otherModels, begin: createClaudeExchange });
const partnerModels = withGenerateContent({
  ...otherModels,
  begin(call) {
    const partner = partnerModelOf(call.model);
    return partner === undefined ? geminiModels.begin(call) : createPartnerExchange(call, partner);
  },
});

/**
 * Vertex AI, https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference: Gemini models speak as
 * at AI Studio, Claude models as at Anthropic, and models of other vendors OpenAI's format, under another address and with
 * Google Cloud's credentials.
 */
export const vertexAi: Provider = {
  ...geminiModels,
  authorizer: "google-token",
  // Claude's images come as bytes there. https://platform.claude.com/docs/en/build-with-claude/vision
  needsBytes: (call, { protocol }) => protocol === "http:" || modelsOf(call) === claudeModels,
  begin(call) {
    if (call.operation === Operation.RERANK) return createRerankExchange(call);
    return modelsOf(call).begin(call);
  },
  countTokens: (call) => (modelsOf(call) === geminiModels ? geminiModels.countTokens?.(call) : undefined),
};

/** Whose models a call is for: they speak differently. */
function modelsOf({ model }: ProviderCall): Provider {
  if (/(?:^|\/)claude-/.test(model)) return claudeModels;
  return partnerModelOf(model) === undefined ? geminiModels : partnerModels;
}
