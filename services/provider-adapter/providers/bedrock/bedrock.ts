import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { classifyError, providerId } from "./classify-error.ts";
import { createMessagesExchange } from "./messages-exchange.ts";

/**
 * Amazon Bedrock's Converse and ConverseStream, which speak to all of its chat models alike:
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. Chat completions and messages are
 * translated both ways.
 */
export const bedrock: Provider = {
  id: providerId,
  authorizer: "aws-sigv4",
  begin,
  classifyError,
};

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call);
    case Operation.MESSAGES:
      return createMessagesExchange(call);
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "Bedrock is built for chat completions and messages, not for this operation.",
      );
  }
}
