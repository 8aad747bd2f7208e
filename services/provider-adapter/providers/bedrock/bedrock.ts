import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { type BedrockModel, bedrockModel } from "./bedrock-model.ts";
import { createChatExchange } from "./chat-exchange.ts";
import { classifyError, providerId } from "./classify-error.ts";
import { createClaudeExchange } from "./claude-invoke.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createMessagesExchange } from "./messages-exchange.ts";
import { createOpenAiInvokeExchange } from "./openai-invoke.ts";
import { createRerankExchange } from "./rerank-exchange.ts";
import { createTextExchange } from "./text-exchange.ts";
import { textFormats } from "./text-formats.ts";
import { createTokenCount } from "./token-count.ts";

/**
 * Amazon Bedrock. Chats go to Converse, which speaks to all models alike, unless the model's name asks for Invoke, where
 * every family has a format of its own. Messages of a Claude model are passed through over Invoke, which is Anthropic's own
 * API there; those of any other model are translated.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
 */
export const bedrock: Provider = {
  id: providerId,
  authorizer: "aws-sigv4",
  needsBytes: () => true,
  begin,
  countTokens: createTokenCount,
  classifyError,
};

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return beginChat(call, bedrockModel(call.model));
    case Operation.MESSAGES:
      return beginMessages(call, bedrockModel(call.model));
    case Operation.EMBEDDINGS:
      return createEmbeddingsExchange(call);
    case Operation.RERANK:
      return createRerankExchange(call);
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "Bedrock offers chat completions, messages, embeddings and rerank, not this operation.",
      );
  }
}

function beginChat(call: ProviderCall, model: BedrockModel): Exchange {
  if (model.api !== "invoke" || model.format === "nova") return createChatExchange(call);
  if (model.format === "messages") return createClaudeExchange(call, model);
  const format = textFormats[model.format];
  return format === undefined ? createOpenAiInvokeExchange(call, model) : createTextExchange(call, model, format);
}

function beginMessages(call: ProviderCall, model: BedrockModel): Exchange {
  if (model.format === "messages" && model.api !== "converse") return createClaudeExchange(call, model);
  if (model.api !== "invoke" || model.format === "nova") return createMessagesExchange(call);
  return createMessagesOverChat(call, {
    id: providerId,
    upstream: { outputLimitField: "max_tokens" },
    begin: (chat) => beginChat(chat, model),
  });
}
