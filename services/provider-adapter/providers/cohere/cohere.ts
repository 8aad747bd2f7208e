import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ChatUpstream, Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { classifyError, providerId } from "./classify-error.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createRerankExchange } from "./rerank-exchange.ts";

const chatUpstream: ChatUpstream = { outputLimitField: "max_tokens", reasoningField: "reasoning_content" };

/** Cohere's own API, version 2: https://docs.cohere.com/reference/chat and its siblings. */
export const cohere: Provider = { id: providerId, chatUpstream, begin, classifyError };

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: providerId,
        upstream: chatUpstream,
        begin: createChatExchange,
      });
    case Operation.EMBEDDINGS:
      return createEmbeddingsExchange(call);
    case Operation.RERANK:
      return createRerankExchange(call);
    default:
      throw gatewayError(Reason.OPERATION_UNSUPPORTED, "Cohere does not offer this operation.", { param: "model" });
  }
}
