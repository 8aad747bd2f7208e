import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { classifyError as classifyPlainError } from "../openai-compatible/errors.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { providerId } from "./upstream-request.ts";

/**
 * SAP's Generative AI Hub by its orchestration service, which has one format for every vendor's models:
 * https://help.sap.com/docs/sap-ai-core/generative-ai/orchestration.
 */
export const sap: Provider = { id: providerId, authorizer: "sap-deployment", begin, classifyError };

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
        "sap offers chat completions, messages and embeddings, not this operation.",
        { param: "model" },
      );
  }
}

/** Errors are `{"error": {"code", "message", "location"}}`, or that object alone. */
function classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit {
  return classifyPlainError(providerId, status, headers, body);
}
