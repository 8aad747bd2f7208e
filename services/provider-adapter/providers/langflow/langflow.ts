import type { Provider } from "../../provider.ts";
import { chatOf, createChatDialectExchange } from "../chat-dialect/chat-dialect-exchange.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createChatDialect } from "./chat-dialect.ts";
import { providerId } from "./upstream-request.ts";

/** A flow on a Langflow server as a model, https://docs.langflow.org/api-flows-run: a flow with a chat's input and output. */
export const langflow: Provider = createChatProvider({
  id: providerId,
  upstream: { outputLimitField: "max_tokens" },
  chat: (call) => createChatDialectExchange(call, chatOf(call), createChatDialect(call)),
});
