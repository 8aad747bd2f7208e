import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, ProviderCall } from "../../provider.ts";
import { createChatExchange } from "../anthropic/chat-exchange.ts";
import { createMessagesExchange } from "../anthropic/messages-exchange.ts";
import { claudeBody, vertexBetas } from "./claude-request.ts";
import { publisherRequest } from "./upstream-request.ts";

/** Never spoken to: the request is sent to Vertex AI's address. */
const placeholder = "https://anthropic.invalid";

/**
 * A call to a Claude model on Vertex AI: Anthropic's own exchange, whose request goes to `rawPredict` with the model in
 * the address and the API's version in the body. A schema is asked for by a forced tool: structured outputs are there for
 * some models alone, and only where an organization allows them, which they do not unless told to
 * (https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/structured_outputs).
 * https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
 */
export function createClaudeExchange(call: ProviderCall): Exchange {
  if (call.operation !== Operation.CHAT_COMPLETIONS && call.operation !== Operation.MESSAGES) {
    throw gatewayError(
      Reason.OPERATION_UNSUPPORTED,
      "Claude offers chat completions and messages, not this operation.",
    );
  }
  const innerCall = { ...call, credential: undefined, baseUrl: placeholder };
  const inner =
    call.operation === Operation.CHAT_COMPLETIONS
      ? createChatExchange(innerCall, { structuredOutputs: false })
      : createMessagesExchange(innerCall);
  const body = claudeBody(inner.request.body);
  const betas = vertexBetas(inner.request.headers["anthropic-beta"]);
  const request = publisherRequest(call, "anthropic", call.stream ? "streamRawPredict" : "rawPredict", body);
  return {
    request: betas === undefined ? request : { ...request, headers: { ...request.headers, "anthropic-beta": betas } },
    get progress() {
      return inner.progress ?? "open";
    },
    decodeBody: (answer) => inner.decodeBody(answer),
    decodeEvents: (events) => inner.decodeEvents(events),
    finish: () => inner.finish(),
    outcome: () => inner.outcome(),
  };
}
