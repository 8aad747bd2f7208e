import type { Exchange, ProviderCall } from "../../provider.ts";
import { messageToChatCompletion } from "../../translate/messages-to-chat/answer.ts";
import { MessageChunks } from "../../translate/messages-to-chat/stream.ts";
import { createConverseExchange } from "./converse-exchange.ts";
import { chatToConverse } from "./request.ts";

/** A chat completion call, translated both ways. Bedrock gives an answer no id, so it gets the call's. */
export function createChatExchange(call: ProviderCall): Exchange {
  return createConverseExchange(call, `chatcmpl-${call.callId ?? call.createdAt}`, (chat, model, usage) => {
    const { body, shape } = chatToConverse(chat, model, call);
    const chunks = new MessageChunks(usage, shape, call.createdAt);
    return {
      body,
      answer: (message) => messageToChatCompletion(message, usage, shape, call.createdAt),
      push: (event, out) => chunks.push(event, out),
      finish: () => chunks.finish(),
    };
  });
}
