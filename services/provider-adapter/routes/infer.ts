import type { HandlerContext } from "@connectrpc/connect";
import type { Secret } from "#chassis/secret.ts";
import type { InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Authorizers } from "../authorize.ts";
import type { AdapterConfig } from "../config.ts";
import type { AdapterEvents } from "../events.ts";
import { callError, withoutCredentials } from "../failure.ts";
import { InferAnswer } from "../infer-answer.ts";
import { playLocally } from "../local-answer.ts";
import { type AdapterCall, readCall } from "../provider-call.ts";
import type { ProviderLookup } from "../provider-lookup.ts";
import { mockResponse } from "../providers/mock/mock.ts";
import type { PeerPool } from "../relay/peer-pool.ts";
import { relay } from "../relay/relay.ts";
import type { Upstream } from "../upstream.ts";
import { openAnswer } from "../upstream-answer.ts";

/** What the RPC works with. */
export interface InferParts {
  readonly config: AdapterConfig;
  readonly providers: ProviderLookup;
  readonly openCredential: (sealed: Uint8Array) => Secret | undefined;
  readonly upstream: Upstream;
  readonly authorizers: Authorizers;
  readonly events: AdapterEvents;
  /** The way to services in other processes. */
  readonly peers: PeerPool;
}

/** Runs one call at the provider that its target names. */
export function infer(parts: InferParts) {
  return async function* (request: InferRequest, context: HandlerContext): AsyncGenerator<InferResponse> {
    const { signal } = context;
    const adapterCall = readCall(request, parts.providers, parts.openCredential, Date.now());
    const provider = adapterCall.provider.id;
    const answer = new InferAnswer(adapterCall, parts.events);
    let settled = false;
    parts.events.callStarted();
    try {
      const relayed = adapterCall.provider.relays && adapterCall.target.mockResponse === undefined;
      const responses = relayed
        ? relay(parts, request, adapterCall, answer, context)
        : respond(parts, adapterCall, answer, signal);
      const ready = responses instanceof Promise ? await responses : responses;
      if (isGenerator(ready)) yield* ready;
      else for (const response of ready) yield response;
      settled = true;
      parts.events.callAnswered(provider, answer.elapsedMs);
    } catch (error) {
      settled = true;
      const thrown = callError(provider, error, signal, answer.started);
      const failure = withoutCredentials(thrown, adapterCall.call.credential);
      if (signal.aborted) parts.events.callAborted(provider);
      else parts.events.callFailed(provider, request.callId, failure);
      throw failure;
    } finally {
      // The caller stopped reading: no error is thrown in here then.
      if (!settled) parts.events.callAborted(provider);
    }
  };
}

/** The events of an answer: all there are, or as they come. */
type Responses = readonly InferResponse[] | AsyncGenerator<InferResponse>;

function isGenerator(responses: Responses): responses is AsyncGenerator<InferResponse> {
  return Symbol.asyncIterator in responses;
}

function respond(
  parts: InferParts,
  { target, provider, call }: AdapterCall,
  answer: InferAnswer,
  signal: AbortSignal,
): Responses | Promise<Responses> {
  if (target.mockResponse !== undefined) {
    return playLocally(mockResponse(provider.id, call, target.mockResponse), answer, signal);
  }
  const local = provider.respondLocally?.(call);
  if (local !== undefined) return playLocally(local, answer, signal);
  return openAnswer(parts, provider, call, answer, signal);
}
