import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createFimExchange } from "./text-exchange.ts";
import { providerId } from "./upstream-request.ts";

/** Mistral's Codestral as it completes code: https://docs.mistral.ai/api/endpoint/fim. Its chat is `codestral`. */
export const textCompletionCodestral: Provider = {
  id: providerId,
  begin,
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

function begin(call: ProviderCall): Exchange {
  if (call.operation === Operation.COMPLETIONS) return createFimExchange(call);
  throw gatewayError(
    Reason.OPERATION_UNSUPPORTED,
    "text-completion-codestral offers completions; codestral has the chat.",
    { param: "model" },
  );
}
