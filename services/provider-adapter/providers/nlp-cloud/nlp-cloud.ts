import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createNlpCloudText } from "./text-exchange.ts";
import { providerId } from "./upstream-request.ts";

/** NLP Cloud, whose models continue texts: https://docs.nlpcloud.com/#generation. */
export const nlpCloud: Provider = {
  id: providerId,
  begin,
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

function begin(call: ProviderCall): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
    case Operation.COMPLETIONS:
      return createNlpCloudText(call);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, {
        id: providerId,
        upstream: { outputLimitField: "max_tokens" },
        begin: createNlpCloudText,
      });
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "nlp_cloud offers chat completions, completions and messages, not this operation.",
        { param: "model" },
      );
  }
}
