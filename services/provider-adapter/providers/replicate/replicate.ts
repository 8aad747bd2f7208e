import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { providerId } from "./upstream-request.ts";

/** Replicate's predictions: https://replicate.com/docs/reference/http */
export const replicate: Provider = {
  id: providerId,
  begin,
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
    case Operation.COMPLETIONS:
      return createChatExchange(call);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: providerId,
        upstream: { outputLimitField: "max_tokens" },
        begin: createChatExchange,
      });
    default:
      throw gatewayError(Reason.OPERATION_UNSUPPORTED, "Replicate does not offer this operation.", { param: "model" });
  }
}
