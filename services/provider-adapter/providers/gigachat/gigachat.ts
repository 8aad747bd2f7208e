import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { chatOf, createChatDialectExchange } from "../chat-dialect/chat-dialect-exchange.ts";
import { classifyError as classifyPlainError } from "../openai-compatible/errors.ts";
import { createChatDialect } from "./chat-dialect.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { providerId } from "./upstream-request.ts";

/**
 * Sber's GigaChat, https://developers.sber.ru/docs/ru/gigachat/api/reference/rest/post-chat: OpenAI's format as it was
 * with functions, one call in a message.
 */
export const gigachat: Provider = { id: providerId, authorizer: "oauth-token", begin, classifyError };

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
    case Operation.EMBEDDINGS:
      return createEmbeddingsExchange(call);
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "gigachat offers chat completions, messages and embeddings, not this operation.",
        { param: "model" },
      );
  }
}

function createChatExchange(call: ProviderCall): Exchange {
  const client = chatOf(call);
  return createChatDialectExchange(call, client, createChatDialect({ ...call.defaultParams, ...client }, call));
}

/** Errors are `{"status", "message"}`. */
function classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit {
  return classifyPlainError(providerId, status, headers, body);
}
