import type { Provider } from "../../provider.ts";
import { vertexEmbeddings } from "../gemini/embeddings-exchange.ts";
import { createGeminiProvider } from "../gemini/gemini.ts";
import { createClaudeExchange } from "./claude-exchange.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

const geminiModels = createGeminiProvider({ id: providerId, request: upstreamRequest }, vertexEmbeddings);

/**
 * Vertex AI, https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference: Gemini models speak as
 * at AI Studio, and Claude models as at Anthropic, under another address and with Google Cloud's credentials. Models of
 * other vendors are not offered.
 */
export const vertexAi: Provider = {
  ...geminiModels,
  authorizer: "google-token",
  begin: (call) => (/(?:^|\/)claude-/.test(call.model) ? createClaudeExchange(call) : geminiModels.begin(call)),
};
