import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { editJson, JsonObjectProblem } from "#chassis/json-members.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ProviderCall, TokenCount } from "../../provider.ts";
import { chatToMessagesRequest } from "../../translate/chat-to-messages/request.ts";
import { countOf, decodeText, parseObject } from "../../translate/json-reading.ts";
import { brokenAnswer } from "./classify-error.ts";
import { upstreamRequest } from "./upstream-request.ts";

/**
 * https://platform.claude.com/docs/en/api/messages-count-tokens: the client's bytes with the model in Anthropic's words.
 * Parameters of the deployment stay out: most of them are unknown there, and an unknown one is refused. A chat completion
 * is translated first.
 */
export function createTokenCount(call: ProviderCall): TokenCount {
  const body = call.operation === Operation.CHAT_COMPLETIONS ? translated(call) : withModel(call);
  const request = upstreamRequest({ ...call, stream: false }, body, []);
  return {
    request: { ...request, url: `${request.url}/count_tokens` },
    read(body) {
      const tokens = countOf(parseObject(decodeText(body))?.input_tokens);
      if (tokens === undefined) throw upstreamError(brokenAnswer("Anthropic's answer is no count of tokens"));
      return tokens;
    },
  };
}

/** What of a request is counted; the endpoint refuses everything else. */
const counted = ["model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"];

function translated(call: ProviderCall): Uint8Array {
  const chat = parseObject(decodeText(call.body)) ?? {};
  const { body } = chatToMessagesRequest(chat, { ...call, stream: false });
  return Buffer.from(
    JSON.stringify(Object.fromEntries(Object.entries(body).filter(([name]) => counted.includes(name)))),
  );
}

function withModel({ body, model }: ProviderCall): Uint8Array {
  try {
    return editJson(body, { set: { model: JSON.stringify(model) } });
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.", { cause: error });
  }
}
