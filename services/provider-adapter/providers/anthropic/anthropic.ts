import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { classifyError, providerId } from "./classify-error.ts";
import { createMessagesExchange } from "./messages-exchange.ts";
import { createTokenCount } from "./token-count.ts";

/**
 * Anthropic's native Messages API, https://platform.claude.com/docs/en/api/messages: a Messages call passes through, a
 * chat completion is translated both ways. Anthropic has none of the other operations.
 */
export const anthropic: Provider = {
  id: providerId,
  chatUpstream: { outputLimitField: "max_tokens", searchesWeb: true },
  // What is not encrypted Anthropic does not fetch. https://platform.claude.com/docs/en/build-with-claude/vision
  needsBytes: (_, { protocol }) => protocol === "http:",
  begin,
  countTokens: createTokenCount,
  classifyError,
};

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.MESSAGES:
      return createMessagesExchange(call);
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call);
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "Anthropic offers chat completions and messages, not this operation.",
      );
  }
}
