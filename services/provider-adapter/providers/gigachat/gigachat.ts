import type { Provider } from "../../provider.ts";
import { chatOf, createChatDialectExchange } from "../chat-dialect/chat-dialect-exchange.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createChatDialect } from "./chat-dialect.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { providerId } from "./upstream-request.ts";

/**
 * Sber's GigaChat, https://developers.sber.ru/docs/ru/gigachat/api/reference/rest/post-chat: OpenAI's format as it was
 * with functions, one call in a message. Errors are `{"status", "message"}`.
 */
export const gigachat: Provider = createChatProvider({
  id: providerId,
  authorizer: "oauth-token",
  upstream: { outputLimitField: "max_tokens" },
  chat: (call) => createChatDialectExchange(call, chatOf(call), createChatDialect(call)),
  embeddings: createEmbeddingsExchange,
});
