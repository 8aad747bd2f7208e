import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { type AwsService, classifyAwsError } from "../aws-errors.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createOpenAiEndpointExchange } from "./openai-exchange.ts";
import { createTextExchange } from "./text-exchange.ts";

type BeginChat = (call: ProviderCall, service: AwsService) => Exchange;

/**
 * Amazon SageMaker: endpoints of one's own. `sagemaker/<endpoint>` continues texts as Hugging Face's server does,
 * `sagemaker_chat/<endpoint>` speaks OpenAI's format.
 */
export const sagemaker = sagemakerProvider("sagemaker", createTextExchange);
export const sagemakerChat = sagemakerProvider("sagemaker_chat", createOpenAiEndpointExchange);

function sagemakerProvider(id: string, beginChat: BeginChat): Provider {
  const service = { id, name: "SageMaker" };
  return {
    id,
    authorizer: "aws-sigv4",
    begin: (call) => begin(call, service, beginChat),
    classifyError: (status, headers, body) => classifyAwsError(service, status, headers, body),
  };
}

function begin(call: ProviderCall, service: AwsService, beginChat: BeginChat): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return beginChat(call, service);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: service.id,
        upstream: { outputLimitField: "max_tokens" },
        begin: (chat) => beginChat(chat, service),
      });
    case Operation.EMBEDDINGS:
      return createEmbeddingsExchange(call, service);
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "SageMaker offers chat completions, messages and embeddings, not this operation.",
        { param: "model" },
      );
  }
}
