import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ChatUpstream, Exchange, ProviderCall } from "../provider.ts";
import { agentHints } from "./agent-requests.ts";
import { chatCompletionToMessage } from "./chat-to-messages/answer.ts";
import { MessageEvents } from "./chat-to-messages/stream.ts";
import { decodeText, parseObject } from "./json-reading.ts";
import { messagesToChatRequest } from "./messages-to-chat/request.ts";
import { type ChatProvider, createOverChat } from "./over-chat.ts";

/** A call of the Messages dialect over a provider that speaks chat completions. */
export function createMessagesOverChat(call: ProviderCall, provider: ChatProvider): Exchange {
  const events = new MessageEvents();
  return createOverChat(provider.begin(messagesAsChat(call, provider.upstream)), provider, {
    whole: chatCompletionToMessage,
    push: (chunk, out) => events.push(chunk, out),
    finish: (usage) => events.finish(usage),
  });
}

/** A call of the Messages dialect as a chat completion. Throws INVALID_REQUEST where its body is no JSON object. */
export function messagesAsChat(call: ProviderCall, upstream: ChatUpstream): ProviderCall {
  const body = parseObject(decodeText(call.body));
  if (body === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  return {
    ...call,
    operation: Operation.CHAT_COMPLETIONS,
    hints: agentHints,
    headers: Object.fromEntries(Object.entries(call.headers).filter(([name]) => !name.startsWith("anthropic-"))),
    body: Buffer.from(JSON.stringify(messagesToChatRequest(body, call, upstream))),
  };
}
