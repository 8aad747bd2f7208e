import type { ServiceImpl } from "@connectrpc/connect";
import type { ReadyIterator } from "#chassis/rpc/ready.ts";
import type { InferenceService, InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Cancellable } from "../admission/admission.ts";
import { admitCall } from "../routing/admit-call.ts";
import type { ModelCall, RouterCore } from "../routing/model-call.ts";

type Step = IteratorResult<InferResponse, undefined>;

const over: Step = { done: true, value: undefined };

/** Runs one model call. */
export function createInfer(core: RouterCore): ServiceImpl<typeof InferenceService>["infer"] {
  return (request, context) => new InferEvents(core, request, context);
}

/**
 * The events of one call. The last chunk waits here until the adapter has said what was used and the journal has it: a
 * client cannot have seen the end of an answer that is not recorded. An iterator by hand: a generator with its promises
 * for every event costs several times as much. As with a generator, one `next` is asked for at a time.
 */
class InferEvents implements ReadyIterator<InferResponse> {
  readonly #core: RouterCore;
  readonly #request: InferRequest;
  readonly #context: Cancellable;
  #call: ModelCall | undefined;
  /** The last chunk, until it may go. */
  #held: InferResponse | undefined;
  /** An event that follows what was handed out. */
  #ready: InferResponse | undefined;
  #finished = false;
  #draining: Promise<void> | undefined;
  #over = false;

  constructor(core: RouterCore, request: InferRequest, context: Cancellable) {
    this.#core = core;
    this.#request = request;
    this.#context = context;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<Step> {
    const ready = this.ready();
    if (ready !== undefined) return ready;
    try {
      const call = this.#call;
      if (call === undefined) {
        const admitted = await admitCall(this.#core, this.#request, this.#context);
        this.#call = admitted;
        if (this.#over) admitted.close();
        return { done: false, value: await admitted.open() };
      }
      if (this.#finished) {
        await this.#draining;
        this.#close();
        return over;
      }
      for (;;) {
        let response: InferResponse;
        try {
          const step = call.advance();
          response = call.take(step instanceof Promise ? await step : step);
        } catch (thrown) {
          throw await call.failed(thrown);
        }
        if (response.event.case === "finished") await call.finish(response.event.value);
        const value = this.#pass(response);
        if (value !== undefined) return { done: false, value };
      }
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /** The event that follows what was handed out, or the end where the adapter has nothing more to do. */
  ready(): Step | undefined {
    if (this.#over) return over;
    const value = this.#ready;
    if (value !== undefined) {
      this.#ready = undefined;
      return { done: false, value };
    }
    if (!this.#finished) return undefined;
    this.#draining ??= this.#call?.drain();
    if (this.#draining !== undefined) return undefined;
    this.#close();
    return over;
  }

  /** Ends the call at once, also while an event is waited for. */
  async return(): Promise<Step> {
    this.#close();
    return over;
  }

  /** What may be handed out now that this has come. */
  #pass(response: InferResponse): InferResponse | undefined {
    const { event } = response;
    const held = this.#held;
    if (event.case === "finished") this.#finished = true;
    else if (event.case !== "chunk") return undefined;
    else if (event.value.last) {
      this.#held = response;
      return held;
    }
    if (held === undefined) return response;
    this.#held = undefined;
    this.#ready = response;
    return held;
  }

  #close(): void {
    this.#over = true;
    this.#call?.close();
  }
}
