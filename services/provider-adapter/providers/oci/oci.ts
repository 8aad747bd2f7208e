import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { chatOf, createChatDialectExchange } from "../chat-dialect/chat-dialect-exchange.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createCohereDialect } from "./cohere-dialect.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createGenericDialect } from "./generic-dialect.ts";
import { createRerankExchange } from "./rerank-exchange.ts";
import { providerId } from "./upstream-request.ts";

/**
 * Oracle Cloud's Generative AI, https://docs.oracle.com/en-us/iaas/Content/generative-ai/home.htm. It has two formats of a
 * chat: Cohere's models have one, all others share the other. Errors are `{"code", "message"}`.
 */
export const oci: Provider = {
  ...createChatProvider({
    id: providerId,
    authorizer: "oci-signature",
    upstream: { outputLimitField: "max_tokens", reasoningField: "reasoning_content" },
    chat: createChatExchange,
    embeddings: createEmbeddingsExchange,
    rerank: createRerankExchange,
  }),
  needsBytes: () => true,
};

function createChatExchange(call: ProviderCall): Exchange {
  const client = chatOf(call);
  const chat = { ...call.defaultParams, ...client };
  const dialect = call.model.startsWith("cohere.") ? createCohereDialect(chat, call) : createGenericDialect(chat, call);
  return createChatDialectExchange(call, client, dialect);
}
