import type { Provider } from "../../provider.ts";
import { chatOf, createChatDialectExchange } from "../chat-dialect/chat-dialect-exchange.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createChatDialect } from "./chat-dialect.ts";
import { providerId } from "./upstream-request.ts";

/**
 * A graph on a LangGraph server as a model, https://docs.langchain.com/langsmith/agent-server: a run without a thread,
 * whose state has `messages`. What the graph does in between (tools, other agents) stays there.
 */
export const langgraph: Provider = createChatProvider({
  id: providerId,
  upstream: { outputLimitField: "max_tokens" },
  chat: (call) => createChatDialectExchange(call, chatOf(call), createChatDialect(call)),
});
