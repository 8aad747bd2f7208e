import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, ProviderCall } from "../provider.ts";
import { chatCompletionToMessage } from "./chat-to-messages/answer.ts";
import { MessageEvents } from "./chat-to-messages/stream.ts";
import { decodeText, parseObject } from "./json-reading.ts";
import { messagesToChatRequest } from "./messages-to-chat/request.ts";
import type { ChatUpstream } from "./messages-to-chat/request-content.ts";
import { readEventData } from "./sse-event.ts";

/** The chat provider that is spoken to underneath. */
export interface ChatProvider {
  /** Its id, for errors. */
  readonly id: string;
  readonly upstream: ChatUpstream;
  /** Begins a call of CHAT_COMPLETIONS. */
  begin(call: ProviderCall): Exchange;
}

/**
 * A call of the Messages dialect over a provider that speaks chat completions: the request is translated and given to
 * the provider's own chat exchange, whose answer is translated back. Usage is what that exchange makes of it.
 */
export function createMessagesOverChat(call: ProviderCall, provider: ChatProvider): Exchange {
  const body = parseObject(decodeText(call.body));
  if (body === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const translated = messagesToChatRequest(body, call, provider.upstream);
  const inner = provider.begin({
    ...call,
    operation: Operation.CHAT_COMPLETIONS,
    headers: Object.fromEntries(Object.entries(call.headers).filter(([name]) => !name.startsWith("anthropic-"))),
    body: Buffer.from(JSON.stringify(translated)),
  });
  const events = new MessageEvents();

  const translate = (payloads: readonly Uint8Array[]): Uint8Array[] => {
    const out: Uint8Array[] = [];
    for (const payload of payloads) {
      const data = readEventData(payload);
      if (data === undefined || data.trim() === "[DONE]") continue;
      const chunk = parseObject(data);
      if (chunk === undefined) throw broken(provider, "sent an event that is not JSON");
      if (!events.push(chunk, out)) throw broken(provider, "told its tool calls out of order");
    }
    return out;
  };

  return {
    request: inner.request,
    framing: inner.framing ?? "sse",

    get progress() {
      return inner.progress ?? "open";
    },

    decodeBody(bytes) {
      const completion = parseObject(decodeText(inner.decodeBody(bytes)));
      if (completion === undefined || !Array.isArray(completion.choices)) {
        throw broken(provider, "answered with something that is no chat completion");
      }
      return Buffer.from(JSON.stringify(chatCompletionToMessage(completion, inner.outcome().usage)));
    },

    decodeEvents(upstream) {
      return translate(inner.decodeEvents(upstream));
    },

    ...(inner.decodeWhole === undefined ? {} : { decodeWhole: (body) => translate(inner.decodeWhole?.(body) ?? []) }),
    ...(inner.followUp === undefined ? {} : { followUp: (body) => inner.followUp?.(body) }),
    ...(inner.abandon === undefined ? {} : { abandon: () => inner.abandon?.() }),

    finish() {
      const rest = translate(inner.finish());
      return [...rest, ...events.finish(inner.outcome().usage)];
    },

    outcome: () => inner.outcome(),
  };
}

function broken(provider: ChatProvider, what: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider: provider.id,
    retryable: true,
    message: `The provider ${provider.id} ${what}`,
  });
}
