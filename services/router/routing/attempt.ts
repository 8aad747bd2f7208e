import type { Client } from "@connectrpc/connect";
import { nextStep, readyStep } from "#chassis/rpc/ready.ts";
import type { Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferenceService, InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Deployment } from "../registry/deployment.ts";
import { brokenAnswer, timeoutError } from "./failure.ts";

export interface AttemptLimits {
  /** Time for the whole attempt. */
  readonly totalMs: number;
  /** Time to the first payload; undefined means the whole attempt's. */
  readonly firstPayloadMs: number | undefined;
  /** Which of the two the client made shorter than the deployment's own. */
  readonly impatient: { readonly total: boolean; readonly firstPayload: boolean };
}

/** Node fires a timer at once that is set further ahead. */
const maxTimerMs = 2 ** 31 - 1;

/** One try at one deployment: the adapter's stream with its clocks and its abort. */
export class Attempt {
  readonly #deployment: Deployment;
  readonly #limits: AttemptLimits;
  readonly #begun: number;
  readonly #events: AsyncIterator<InferResponse>;
  #end: IteratorResult<InferResponse> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #expired: string | undefined;
  #cutByClient = false;
  #over = false;

  constructor(
    inference: Client<typeof InferenceService>,
    request: InferRequest,
    deployment: Deployment,
    limits: AttemptLimits,
  ) {
    this.#deployment = deployment;
    this.#limits = limits;
    this.#begun = performance.now();
    const { firstPayloadMs: first, totalMs, impatient } = limits;
    if (first !== undefined && first < totalMs) {
      this.#arm(first, `no payload within ${first / 1000} seconds`, impatient.firstPayload);
    } else this.#arm(totalMs, `no answer within ${totalMs / 1000} seconds`, impatient.total);
    this.#events = inference.infer(request)[Symbol.asyncIterator]();
  }

  /** Whether a limit ended it that the client had made shorter than the deployment's own. */
  get cutByClient(): boolean {
    return this.#cutByClient;
  }

  /** Looks at the first event, with which the answer has begun. Returns the adapter's own message, to be completed. */
  begin({ event }: InferResponse): Started {
    if (event.case !== "started") throw brokenAnswer(this.#deployment, "an answer without a beginning");
    const { totalMs, firstPayloadMs, impatient } = this.#limits;
    if (firstPayloadMs !== undefined && firstPayloadMs < totalMs) {
      const rest = Math.max(0, totalMs - (performance.now() - this.#begun));
      this.#arm(rest, `no end within ${totalMs / 1000} seconds`, impatient.total);
    }
    return event.value;
  }

  /** Asks for the next event, which may be there. What comes is for `take`; what either fails with is for `failed`. */
  advance(): IteratorResult<InferResponse> | Promise<IteratorResult<InferResponse>> {
    return this.#end ?? nextStep(this.#events);
  }

  /** The next event, if it is there already. The end of the stream is for `advance` to tell. */
  ready(): IteratorResult<InferResponse> | undefined {
    const step = readyStep(this.#events);
    if (step?.done === true) this.#end = step;
    return this.#end === undefined ? step : undefined;
  }

  /** The event that came. Throws where the stream is over: an answer ends with Finished. */
  take(result: IteratorResult<InferResponse>): InferResponse {
    if (result.done === true) throw brokenAnswer(this.#deployment, "an answer without an end");
    return result.value;
  }

  /** The attempt is over by what was thrown. Returns its error: where its clock ended it, that says so. */
  failed(thrown: unknown): unknown {
    this.#over = true;
    return this.#expired === undefined ? thrown : timeoutError(this.#deployment, this.#expired);
  }

  /** Lets the adapter end its stream after Finished; whatever it still does is of no interest. */
  drain(): Promise<void> | undefined {
    this.#over = readyStep(this.#events)?.done === true;
    return this.#over ? undefined : this.#drainLater();
  }

  async #drainLater(): Promise<void> {
    try {
      const { done } = await this.#events.next();
      this.#over = done === true;
    } catch {
      this.#over = true;
    }
  }

  /** Aborts the upstream call, if it is not over, and stops the clock. */
  close(): void {
    clearTimeout(this.#timer);
    if (this.#over) return;
    this.#over = true;
    this.#cancel();
  }

  /** Ends the adapter's stream at once: an event that is waited for rejects. */
  #cancel(): void {
    this.#events.return?.().catch(() => undefined);
  }

  #arm(ms: number, what: string, impatient: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#expired = what;
        this.#cutByClient = impatient;
        this.#cancel();
      },
      Math.min(ms, maxTimerMs),
    );
  }
}
