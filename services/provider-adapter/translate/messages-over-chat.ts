import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ChatUpstream, Exchange, JsonObject, ProviderCall } from "../provider.ts";
import { agentHints } from "./agent-requests.ts";
import { chatCompletionToMessage } from "./chat-to-messages/answer.ts";
import { MessageEvents } from "./chat-to-messages/stream.ts";
import { decodeText, parseObject } from "./json-reading.ts";
import { messagesToChatRequest } from "./messages-to-chat/request.ts";
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
  const inner = provider.begin(messagesAsChat(call, provider.upstream));
  const events = new MessageEvents();

  const translate = (payloads: readonly Uint8Array[]): Uint8Array[] => {
    const out: Uint8Array[] = [];
    for (const chunk of chatChunks(payloads, provider)) {
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

    finish() {
      const rest = translate(inner.finish());
      return [...rest, ...events.finish(inner.outcome().usage)];
    },

    outcome: () => inner.outcome(),
  };
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

/** The chunks of a chat completion stream, parsed. */
export function* chatChunks(payloads: readonly Uint8Array[], provider: ChatProvider): Generator<JsonObject> {
  for (const payload of payloads) {
    const data = readEventData(payload);
    if (data === undefined || data.trim() === "[DONE]") continue;
    const chunk = parseObject(data);
    if (chunk === undefined) throw broken(provider, "sent an event that is not JSON");
    yield chunk;
  }
}

/** The failure of an answer that is not what the protocol says. */
export function broken(provider: ChatProvider, what: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider: provider.id,
    retryable: true,
    message: `The provider ${provider.id} ${what}`,
  });
}
