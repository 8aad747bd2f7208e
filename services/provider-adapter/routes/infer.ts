import type { HandlerContext } from "@connectrpc/connect";
import { canceledError } from "#chassis/rpc/call-errors.ts";
import type { ReadyIterator } from "#chassis/rpc/ready.ts";
import type { InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { AnswerEvents } from "../answer-events.ts";
import type { Authorizers } from "../authorize.ts";
import { Cancellation } from "../cancellation.ts";
import type { AdapterConfig } from "../config.ts";
import type { AdapterEvents } from "../events.ts";
import { callError, withoutCredentials } from "../failure.ts";
import { InferAnswer } from "../infer-answer.ts";
import { playLocally } from "../local-answer.ts";
import type { MediaFetcher } from "../media/media-fetcher.ts";
import { type AdapterCall, type CallParts, readCall } from "../provider-call.ts";
import type { PeerPool } from "../relay/peer-pool.ts";
import { relay } from "../relay/relay.ts";
import type { Upstream } from "../upstream.ts";
import { openAnswer } from "../upstream-answer.ts";

/** What the RPC works with. */
export interface InferParts extends CallParts {
  readonly config: AdapterConfig;
  readonly upstream: Upstream;
  readonly authorizers: Authorizers;
  readonly media: MediaFetcher;
  readonly events: AdapterEvents;
  /** The way to services in other processes. */
  readonly peers: PeerPool;
}

/** Runs one call at the provider that its target names. */
export function infer(parts: InferParts) {
  return (request: InferRequest, context: HandlerContext): AsyncIterableIterator<InferResponse> => {
    const call = readCall(parts, request);
    if (call instanceof Promise) return onceRead(parts, request, call, context);
    return new InferEvents(parts, request, call, context);
  };
}

/** The first calls of a provider whose code is being loaded. */
async function* onceRead(
  parts: InferParts,
  request: InferRequest,
  reading: Promise<AdapterCall>,
  context: HandlerContext,
): AsyncGenerator<InferResponse> {
  const call = await reading;
  context.signal.throwIfAborted();
  yield* new InferEvents(parts, request, call, context);
}

/** An answer from a provider, or one that is made here. */
type Responses = AnswerEvents | AsyncGenerator<InferResponse>;
type Step = IteratorResult<InferResponse, undefined>;

const over: Step = { done: true, value: undefined };

/**
 * The events of one call. An iterator by hand: what came together is handed over without a promise for every event. As with
 * a generator, one `next` is asked for at a time.
 */
class InferEvents implements ReadyIterator<InferResponse> {
  readonly #parts: InferParts;
  readonly #request: InferRequest;
  readonly #context: HandlerContext;
  readonly #call: AdapterCall;
  readonly #cancellation: Cancellation;
  readonly #answer: InferAnswer;
  #responses: Responses | undefined;
  #settled = false;

  constructor(parts: InferParts, request: InferRequest, call: AdapterCall, context: HandlerContext) {
    this.#parts = parts;
    this.#request = request;
    this.#context = context;
    this.#call = call;
    this.#cancellation = new Cancellation(context);
    this.#answer = new InferAnswer(call, parts.events);
    parts.events.callStarted();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<Step> {
    if (this.#settled) return over;
    try {
      this.#responses ??= await this.#respond();
      const responses = this.#responses;
      if (isGenerator(responses)) {
        const { done, value } = await responses.next();
        return done === true ? this.#answered() : { done: false, value };
      }
      for (;;) {
        const step = this.#taken(responses);
        if (step !== undefined) return step;
        await responses.readOn();
      }
    } catch (error) {
      throw this.#failed(error);
    }
  }

  ready(): Step | undefined {
    const responses = this.#responses;
    return responses === undefined || isGenerator(responses) ? undefined : this.#taken(responses);
  }

  #respond(): Responses | Promise<Responses> {
    const { target, provider } = this.#call;
    if (!provider.relays || target.mockResponse !== undefined) {
      return respond(this.#parts, this.#call, this.#answer, this.#cancellation);
    }
    return relay(this.#parts, this.#request, this.#call, this.#answer, this.#context);
  }

  /** The caller stopped reading or has been stopped: what is under way is cut off. */
  async return(): Promise<Step> {
    const responses = this.#responses;
    this.#cancellation.abort(canceledError());
    this.#settle(() => this.#parts.events.callAborted(this.#call.provider.id));
    if (responses === undefined) return over;
    if (isGenerator(responses)) await responses.return(undefined);
    else responses.cancel();
    return over;
  }

  #taken(responses: AnswerEvents): Step | undefined {
    const value = responses.take();
    if (value !== undefined) return { done: false, value };
    return responses.ended ? this.#answered() : undefined;
  }

  #answered(): Step {
    this.#settle(() => this.#parts.events.callAnswered(this.#call.provider.id, this.#answer.elapsedMs));
    return over;
  }

  #failed(error: unknown): unknown {
    const { call, provider } = this.#call;
    const { events } = this.#parts;
    const thrown = callError(provider.id, error, this.#cancellation, this.#answer.started);
    const failure = withoutCredentials(thrown, call.credential);
    this.#settle(() => {
      if (this.#cancellation.aborted) events.callAborted(provider.id);
      else events.callFailed(provider.id, call.callId ?? "", failure);
    });
    return failure;
  }

  /** A call ends once, however many ways there are. */
  #settle(how: () => void): void {
    if (!this.#settled) how();
    this.#settled = true;
  }
}

function isGenerator(responses: Responses): responses is AsyncGenerator<InferResponse> {
  return Symbol.asyncIterator in responses;
}

function respond(
  parts: InferParts,
  { target, provider, call }: AdapterCall,
  answer: InferAnswer,
  cancellation: Cancellation,
): Responses | Promise<Responses> {
  const mocked = async (text: string) => {
    const { mockResponse } = await import("../providers/mock/mock.ts");
    return playLocally(mockResponse(provider.id, call, text), answer, cancellation.signal);
  };
  if (target.mockResponse !== undefined) return mocked(target.mockResponse);
  const local = provider.respondLocally?.(call);
  if (local !== undefined) return playLocally(local, answer, cancellation.signal);
  return openAnswer(parts, provider, call, answer, cancellation);
}
