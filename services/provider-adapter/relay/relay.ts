import { setTimeout as sleep } from "node:timers/promises";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { AdapterConfig } from "../config.ts";
import type { AdapterEvents } from "../events.ts";
import { timeoutError } from "../failure.ts";
import type { InferAnswer } from "../infer-answer.ts";
import type { AdapterCall } from "../provider-call.ts";
import { readPeerAddress } from "./peer-address.ts";
import { PeerAnswer } from "./peer-answer.ts";
import { peerFailure } from "./peer-failure.ts";
import type { PeerPool } from "./peer-pool.ts";
import { metadataOf, requestForPeer } from "./peer-request.ts";

export interface RelayParts {
  readonly config: AdapterConfig;
  readonly peers: PeerPool;
  readonly events: AdapterEvents;
}

/** How long a service may take to end its stream behind Finished. */
const trailerMs = 250;

/**
 * Runs a call at a service in another process that implements `InferenceService`. The service gets the client's bytes, and
 * of the mesh's own nothing that it could misuse. A caller that leaves, a deadline and a service that is silent for too
 * long end the call there too.
 */
export async function* relay(
  { config, peers, events }: RelayParts,
  request: InferRequest,
  call: AdapterCall,
  answer: InferAnswer,
  context: Pick<HandlerContext, "signal" | "timeoutMs">,
): AsyncGenerator<InferResponse> {
  const address = readPeerAddress(call.call.baseUrl);
  const trusted = address.secure && config.grpcTls.client !== undefined;
  if (call.call.credential !== undefined && !trusted) events.credentialKeptBack(call.target.deployment);
  const headers = metadataOf(call, trusted);
  const { signal } = context;
  const own = new AbortController();
  const silence = setTimeout(() => own.abort(silent), config.idleTimeoutMs);
  const lease = await peers.lease(address, signal).catch((error: unknown) => {
    clearTimeout(silence);
    throw peerFailure(call.provider, error, false);
  });
  try {
    const peer = new PeerAnswer(call, answer, config);
    const timeoutMs = timeLeft(request, context);
    const options = { signal: AbortSignal.any([signal, own.signal]), headers, timeoutMs };
    const responses = lease.client.infer(requestForPeer(request, call), options)[Symbol.asyncIterator]();
    for (;;) {
      silence.refresh();
      const next = await (peer.finished ? endWithin(responses.next()) : responses.next());
      if (next.done) break;
      yield* peer.take(next.value.event);
    }
    yield peer.end();
  } catch (error) {
    if (own.signal.aborted) throw timeoutError(call.provider.id, error);
    throw peerFailure(call.provider, error, answer.started);
  } finally {
    clearTimeout(silence);
    own.abort();
    lease.release();
  }
}

const silent = new Error("the service was silent for too long");

/** A service that does not end its stream behind Finished has said all there is. */
async function endWithin<T>(next: Promise<IteratorResult<T, unknown>>): Promise<IteratorResult<T, unknown>> {
  const over = new AbortController();
  const late = sleep(trailerMs, { done: true, value: undefined } as const, { signal: over.signal });
  try {
    return await Promise.race([next, late]);
  } finally {
    over.abort();
    for (const promise of [next, late]) promise.catch(() => undefined);
  }
}

/** Milliseconds that the service is told it has; undefined where there is no limit. */
function timeLeft({ options }: InferRequest, context: Pick<HandlerContext, "timeoutMs">): number | undefined {
  const asked = options?.timeout === undefined ? 0 : durationMs(options.timeout);
  const left = context.timeoutMs();
  if (asked <= 0) return left;
  return left === undefined ? asked : Math.min(asked, left);
}
