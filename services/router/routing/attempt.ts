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

/** `leftMs` and `firstPayloadMs` are what the client has set: for the rest of the call, and to the first payload of a stream. */
export function attemptLimits(
  deployment: Deployment,
  leftMs: number | undefined,
  stream: boolean,
  firstPayloadMs: number | undefined,
): AttemptLimits {
  const { timeoutMs, streamTimeoutMs } = deployment;
  const totalMs = leftMs ?? timeoutMs;
  return {
    totalMs,
    firstPayloadMs: stream ? (firstPayloadMs ?? streamTimeoutMs) : undefined,
    impatient: {
      total: totalMs < timeoutMs,
      firstPayload: firstPayloadMs !== undefined && firstPayloadMs < (streamTimeoutMs ?? timeoutMs),
    },
  };
}

/** Node fires a timer at once that is set further ahead. */
const maxTimerMs = 2 ** 31 - 1;

/** What a clock that runs out has waited for. */
type Wait = "payload" | "answer" | "end";

/** One try at one deployment: the adapter's stream with its clocks and its abort. */
export class Attempt {
  readonly #deployment: Deployment;
  readonly #limits: AttemptLimits;
  #begun = 0;
  readonly #events: AsyncIterator<InferResponse>;
  #end: IteratorResult<InferResponse> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #expired: Wait | undefined;
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
    const { firstPayloadMs: first, totalMs } = limits;
    if (first !== undefined && first < totalMs) {
      this.#begun = performance.now();
      this.#arm(first, "payload");
    } else this.#arm(totalMs, "answer");
    this.#events = inference.infer(request)[Symbol.asyncIterator]();
  }

  /** Whether a limit ended it that the client had made shorter than the deployment's own. */
  get cutByClient(): boolean {
    return this.#cutByClient;
  }

  /** Looks at the first event, with which the answer has begun. Returns the adapter's own message, to be completed. */
  begin({ event }: InferResponse): Started {
    if (event.case !== "started") {
      this.close();
      throw brokenAnswer(this.#deployment, "an answer without a beginning");
    }
    const { totalMs, firstPayloadMs } = this.#limits;
    if (firstPayloadMs !== undefined && firstPayloadMs < totalMs) {
      this.#arm(Math.max(0, totalMs - (performance.now() - this.#begun)), "end");
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
    if (this.#expired === undefined) return thrown;
    const { firstPayloadMs = 0, totalMs } = this.#limits;
    const ms = this.#expired === "payload" ? firstPayloadMs : totalMs;
    return timeoutError(this.#deployment, `no ${this.#expired} within ${ms / 1000} seconds`);
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

  #arm(ms: number, wait: Wait): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#expire(wait), Math.min(ms, maxTimerMs));
  }

  #expire(wait: Wait): void {
    const { impatient } = this.#limits;
    this.#expired = wait;
    this.#cutByClient = wait === "payload" ? impatient.firstPayload : impatient.total;
    this.#cancel();
  }
}
