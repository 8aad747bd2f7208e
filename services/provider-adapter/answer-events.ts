import type { InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";

/** The events of an answer: all there are, or as they come. */
export interface AnswerEvents {
  /** Whether no event follows those that can be taken. */
  readonly ended: boolean;
  /** The next event that is there. Undefined where there is none: at the end, or until `readOn` brought more. */
  take(): InferResponse | undefined;
  /** Waits for more; call it when there is nothing to take. Rejects where the answer fails. */
  readOn(): Promise<void>;
  /** Frees the connection; nothing more is read. */
  cancel(): void;
}

/** An answer that came whole. */
export class ReadyAnswer implements AnswerEvents {
  readonly ended = true;
  readonly #events: readonly InferResponse[];
  #taken = 0;

  constructor(events: readonly InferResponse[]) {
    this.#events = events;
  }

  take(): InferResponse | undefined {
    const event = this.#events[this.#taken];
    this.#taken += 1;
    return event;
  }

  async readOn(): Promise<void> {}

  cancel(): void {}
}
