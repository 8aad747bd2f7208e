import { setTimeout as sleep } from "node:timers/promises";
import { mediaType, readBody } from "./answer-body.ts";
import { type Cancellation, cancellationOf } from "./cancellation.ts";
import type { Exchange } from "./provider.ts";
import type { Upstream, UpstreamAnswer } from "./upstream.ts";

/** How long a provider may take to stop what nobody waits for. */
const abandonMs = 5000;

/**
 * Sends the requests that an exchange has to make after its first, until an answer holds what the client asked for, and
 * resolves with that answer. A failure, and a stream, is an answer. Rejects with the signal's reason where the call is
 * aborted.
 */
export async function followed(
  first: UpstreamAnswer,
  exchange: Exchange,
  upstream: Upstream,
  maxBodyBytes: number,
  cancellation: Cancellation,
): Promise<UpstreamAnswer> {
  if (exchange.followUp === undefined) return first;
  const { signal } = cancellation;
  signal.addEventListener("abort", () => abandon(exchange, upstream), { once: true });
  let answer = first;
  for (;;) {
    if (answer.status >= 300 || mediaType(answer) === "text/event-stream") return answer;
    const { body, complete } = await readBody(answer, maxBodyBytes).finally(() => answer.cancel());
    const next = complete ? exchange.followUp(body) : undefined;
    if (next === undefined) return withBody(answer, body);
    if (next.afterMs > 0) await sleep(next.afterMs, undefined, { signal });
    answer = await upstream.send(next.request, cancellation);
  }
}

/** Nobody waits for it: the call is over whether this succeeds or not. */
function abandon(exchange: Exchange, upstream: Upstream): void {
  const request = exchange.abandon?.();
  if (request === undefined) return;
  upstream.send(request, cancellationOf(AbortSignal.timeout(abandonMs))).then(
    (answer) => answer.release(),
    () => undefined,
  );
}

/** An answer whose body was read already. */
function withBody(answer: UpstreamAnswer, body: Uint8Array): UpstreamAnswer {
  let pieces: Uint8Array[] | undefined = [body];
  return {
    status: answer.status,
    headers: answer.headers,
    read: async () => {
      const read = pieces;
      pieces = undefined;
      return read;
    },
    release: () => answer.release(),
    cancel: () => answer.cancel(),
  };
}
