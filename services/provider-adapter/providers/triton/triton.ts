import type { Provider } from "../../provider.ts";
import { createChatProvider } from "../chat-provider.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createTritonText } from "./text-exchange.ts";
import { providerId } from "./upstream-request.ts";

/** NVIDIA's Triton Inference Server, at an address of one's own. */
export const triton: Provider = createChatProvider({
  id: providerId,
  upstream: { outputLimitField: "max_tokens" },
  chat: createTritonText,
  completions: createTritonText,
  embeddings: createEmbeddingsExchange,
});
