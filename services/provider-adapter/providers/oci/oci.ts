import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { chatOf, createChatDialectExchange } from "../chat-dialect/chat-dialect-exchange.ts";
import { classifyError as classifyPlainError } from "../openai-compatible/errors.ts";
import { createCohereDialect } from "./cohere-dialect.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createGenericDialect } from "./generic-dialect.ts";
import { providerId } from "./upstream-request.ts";

/**
 * Oracle Cloud's Generative AI, https://docs.oracle.com/en-us/iaas/Content/generative-ai/home.htm. It has two formats of a
 * chat: Cohere's models have one, all others share the other.
 */
export const oci: Provider = { id: providerId, authorizer: "oci-signature", begin, classifyError };

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: providerId,
        upstream: { outputLimitField: "max_tokens", reasoningField: "reasoning_content" },
        begin: createChatExchange,
      });
    case Operation.EMBEDDINGS:
      return createEmbeddingsExchange(call);
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "oci offers chat completions, messages and embeddings, not this operation.",
        { param: "model" },
      );
  }
}

function createChatExchange(call: ProviderCall): Exchange {
  const client = chatOf(call);
  const chat = { ...call.defaultParams, ...client };
  const dialect = call.model.startsWith("cohere.") ? createCohereDialect(chat, call) : createGenericDialect(chat, call);
  return createChatDialectExchange(call, client, dialect);
}

/** Errors are `{"code", "message"}`, https://docs.oracle.com/en-us/iaas/Content/API/References/apierrors.htm. */
function classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit {
  return classifyPlainError(providerId, status, headers, body);
}
