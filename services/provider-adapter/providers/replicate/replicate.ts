import type { Provider } from "../../provider.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { providerId } from "./upstream-request.ts";

/** Replicate's predictions: https://replicate.com/docs/reference/http */
export const replicate: Provider = createChatProvider({
  id: providerId,
  upstream: { outputLimitField: "max_tokens" },
  chat: createChatExchange,
  completions: createChatExchange,
});
