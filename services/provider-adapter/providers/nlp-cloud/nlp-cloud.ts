import type { Provider } from "../../provider.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createNlpCloudText } from "./text-exchange.ts";
import { providerId } from "./upstream-request.ts";

/** NLP Cloud, whose models continue texts: https://docs.nlpcloud.com/#generation. */
export const nlpCloud: Provider = createChatProvider({
  id: providerId,
  upstream: { outputLimitField: "max_tokens" },
  chat: createNlpCloudText,
  completions: createNlpCloudText,
});
