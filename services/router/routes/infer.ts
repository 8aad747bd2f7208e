import type { ServiceImpl } from "@connectrpc/connect";
import type { ReadyIterator } from "#chassis/rpc/ready.ts";
import type { InferenceService, InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Cancellable } from "../admission/admission.ts";
import { ModelCall, type RouterCore } from "../routing/model-call.ts";
import { planCall } from "../routing/plan-call.ts";

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
  /** Events that may go, in their order. */
  readonly #out: InferResponse[] = [];
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
      let call = this.#call;
      if (call === undefined) {
        const plan = planCall(this.#core, this.#request);
        const admission = await this.#core.admitter.admit(plan.admission, this.#context);
        call = new ModelCall(this.#core, plan, admission, this.#context);
        this.#call = call;
        if (this.#over) call.close();
        this.#out.push(await call.open());
      } else if (this.#finished) {
        await this.#draining;
        this.#close();
        return over;
      }
      // An answer that is no stream is of use when it is whole: what came with its beginning is taken along.
      while (this.#out.length === 0 || !(this.#finished || this.#request.stream)) {
        const step = this.#out.length === 0 ? call.advance() : call.ready();
        if (step === undefined) break;
        let response: InferResponse;
        try {
          response = call.take(step instanceof Promise ? await step : step);
        } catch (thrown) {
          throw await call.failed(thrown);
        }
        if (response.event.case === "finished") await call.finish(response.event.value);
        this.#pass(response);
      }
      return this.#handOut() ?? over;
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /** The next event that may go, or the end where the adapter has nothing more to do. */
  ready(): Step | undefined {
    if (this.#over) return over;
    const step = this.#handOut();
    if (step !== undefined || !this.#finished) return step;
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

  #handOut(): Step | undefined {
    const value = this.#out.shift();
    return value === undefined ? undefined : { done: false, value };
  }

  /** Adds what may be handed out now that this has come. */
  #pass(response: InferResponse): void {
    const { event } = response;
    if (event.case === "finished") this.#finished = true;
    else if (event.case !== "chunk") return;
    if (this.#held !== undefined) this.#out.push(this.#held);
    const isLast = event.case === "chunk" && event.value.last;
    this.#held = isLast ? response : undefined;
    if (!isLast) this.#out.push(response);
  }

  #close(): void {
    this.#over = true;
    this.#call?.close();
  }
}
