import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ChatUpstream, Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { classifyError as classifyPlainError } from "../openai-compatible/errors.ts";
import { createChatExchange, providerId } from "./chat-exchange.ts";

const chatUpstream: ChatUpstream = { outputLimitField: "max_tokens", reasoningField: "reasoning_content" };

/**
 * Ollama's native `/api/chat`, https://docs.ollama.com/api/chat: unlike its OpenAI dialect it takes the options of the
 * runner (`num_ctx`, `keep_alive`, …).
 */
export const ollamaChat: Provider = {
  id: providerId,
  chatUpstream,
  needsBytes: () => true,
  begin,
  classifyError,
};

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
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "ollama_chat offers chat completions and messages; ollama has the other operations.",
        { param: "model" },
      );
  }
}

/** Errors are `{"error": "…"}`. */
function classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit {
  return classifyPlainError(providerId, status, headers, body);
}
