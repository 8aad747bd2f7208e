import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createRerankExchange } from "./rerank-exchange.ts";

const providerId = "watsonx";

/** IBM watsonx.ai: https://cloud.ibm.com/apidocs/watsonx-ai */
export const watsonx: Provider = {
  id: providerId,
  authorizer: "oauth-token",
  begin,
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call, providerId);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: providerId,
        upstream: { outputLimitField: "max_tokens", reasoningField: "reasoning_content" },
        begin: (chat) => createChatExchange(chat, providerId),
      });
    case Operation.EMBEDDINGS:
      return createEmbeddingsExchange(call, providerId);
    case Operation.RERANK:
      return createRerankExchange(call, providerId);
    default:
      throw gatewayError(Reason.OPERATION_UNSUPPORTED, "watsonx does not offer this operation.", { param: "model" });
  }
}
