import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { chatOf, createChatDialectExchange } from "../chat-dialect/chat-dialect-exchange.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createChatDialect } from "./chat-dialect.ts";
import { providerId } from "./upstream-request.ts";

/** A flow on a Langflow server as a model, https://docs.langflow.org/api-flows-run: a flow with a chat's input and output. */
export const langflow: Provider = {
  id: providerId,
  begin,
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: providerId,
        upstream: { outputLimitField: "max_tokens" },
        begin: createChatExchange,
      });
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "langflow offers chat completions and messages, not this operation.",
        { param: "model" },
      );
  }
}

function createChatExchange(call: ProviderCall): Exchange {
  return createChatDialectExchange(call, chatOf(call), createChatDialect(call));
}
