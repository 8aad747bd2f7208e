import type { Provider } from "../../provider.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { providerId } from "./upstream-request.ts";

/**
 * SAP's Generative AI Hub by its orchestration service, which has one format for every vendor's models:
 * https://help.sap.com/docs/sap-ai-core/generative-ai/orchestration. Errors are `{"error": {"code", "message"}}`.
 */
export const sap: Provider = createChatProvider({
  id: providerId,
  authorizer: "sap-deployment",
  upstream: { outputLimitField: "max_tokens" },
  chat: createChatExchange,
  embeddings: createEmbeddingsExchange,
});
