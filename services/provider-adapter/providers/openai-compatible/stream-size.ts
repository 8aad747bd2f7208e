import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import { estimatedUsage } from "./usage.ts";

const bytesPerToken = 4;

/**
 * Estimates the tokens of a stream whose usage never came. Every event is a token at least. Providers that put many tokens
 * into one event are told by its size: what an event has beyond the smallest one is text, four bytes to a token.
 */
export class StreamSize {
  readonly #countOnly: boolean;
  #events = 0;
  #bytes = 0;
  #smallest = Number.POSITIVE_INFINITY;

  /** `countOnly`: the events' sizes say nothing, because they carry log probabilities. */
  constructor(countOnly: boolean) {
    this.#countOnly = countOnly;
  }

  add(event: Uint8Array): void {
    const size = event.byteLength;
    this.#events += 1;
    this.#bytes += size;
    if (size < this.#smallest) this.#smallest = size;
  }

  /** The tokens so far. */
  tokens(): number {
    if (this.#countOnly || this.#events === 0) return this.#events;
    return Math.max(this.#events, (this.#bytes - this.#events * this.#smallest) / bytesPerToken);
  }

  estimate(): Usage {
    return estimatedUsage(this.tokens());
  }
}
