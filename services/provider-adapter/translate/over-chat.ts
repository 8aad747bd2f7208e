import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { ChatUpstream, Exchange, JsonObject, ProviderCall } from "../provider.ts";
import { decodeText, parseObject } from "./json-reading.ts";
import { readEventData } from "./sse-event.ts";

/** The chat provider that is spoken to underneath. */
export interface ChatProvider {
  /** Its id, for errors. */
  readonly id: string;
  readonly upstream: ChatUpstream;
  /** Begins a call of CHAT_COMPLETIONS. */
  begin(call: ProviderCall): Exchange;
}

/** How chat completions are told in another dialect: one for every call. What cannot be told is undefined or false. */
export interface AnswerDialect {
  /** Turns a whole chat completion into an answer. */
  whole(completion: JsonObject, usage: Usage): JsonObject | undefined;
  /** Takes a chunk of a stream. */
  push(chunk: JsonObject, out: Uint8Array[]): boolean;
  /** The closing events. */
  finish(usage: Usage): readonly Uint8Array[] | undefined;
}

/**
 * A call of another dialect over a provider that speaks chat completions: `inner` is the provider's own exchange for the
 * translated request, whose answer is translated back. Usage is what that exchange makes of it.
 */
export function createOverChat(inner: Exchange, provider: ChatProvider, dialect: AnswerDialect): Exchange {
  const translate = (payloads: readonly Uint8Array[]): Uint8Array[] => {
    const out: Uint8Array[] = [];
    for (const payload of payloads) {
      const data = readEventData(payload);
      if (data === undefined || data.trim() === "[DONE]") continue;
      const chunk = parseObject(data);
      if (chunk === undefined) throw broken(provider, "sent an event that is not JSON");
      if (!dialect.push(chunk, out)) throw untold(provider);
    }
    return out;
  };

  return {
    request: inner.request,
    framing: inner.framing ?? "sse",

    get progress() {
      return inner.progress ?? "open";
    },

    decodeBody(bytes, headers) {
      const completion = parseObject(decodeText(inner.decodeBody(bytes, headers)));
      if (completion === undefined || !Array.isArray(completion.choices)) {
        throw broken(provider, "answered with something that is no chat completion");
      }
      const answer = dialect.whole(completion, inner.outcome().usage);
      if (answer === undefined) throw untold(provider);
      return Buffer.from(JSON.stringify(answer));
    },

    decodeEvents(upstream) {
      return translate(inner.decodeEvents(upstream));
    },

    ...(inner.decodeWhole === undefined ? {} : { decodeWhole: (body) => translate(inner.decodeWhole?.(body) ?? []) }),
    ...(inner.followUp === undefined ? {} : { followUp: (body) => inner.followUp?.(body) }),
    ...(inner.abandon === undefined ? {} : { abandon: () => inner.abandon?.() }),

    finish() {
      const rest = translate(inner.finish());
      const closing = dialect.finish(inner.outcome().usage);
      if (closing === undefined) throw untold(provider);
      return [...rest, ...closing];
    },

    outcome: () => inner.outcome(),
  };
}

function untold(provider: ChatProvider): Error {
  return broken(provider, "told its tool calls without a name or out of order");
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
