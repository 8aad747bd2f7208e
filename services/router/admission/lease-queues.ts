import type { Claim } from "./claim.ts";
import { type Granted, LeaseQueue, type LeaseQueueOptions } from "./lease-queue.ts";

/** One queue for every set of scopes that recently met an empty wallet. */
export class LeaseQueues {
  readonly #options: LeaseQueueOptions;
  readonly #queues = new Map<string, LeaseQueue>();

  constructor(options: LeaseQueueOptions) {
    this.#options = options;
  }

  /** See LeaseQueue.wait. */
  wait(claim: Claim, signal: AbortSignal): Promise<Granted> {
    return this.#queueOf(claim).wait(claim, signal);
  }

  /** See LeaseQueue.prefetch. */
  prefetch(claim: Claim): void {
    this.#queueOf(claim).prefetch(claim);
  }

  #queueOf(claim: Claim): LeaseQueue {
    const limited = claim.scopes.filter(({ wallet }) => wallet !== undefined);
    // The limits are part of the key: a key whose limits changed must not be served by what its old ones needed.
    const key = limited.map(({ scope, kinds }) => `${kinds}:${scope}`).join("\n");
    const known = this.#queues.get(key);
    if (known !== undefined) return known;
    const queue = new LeaseQueue(this.#options, limited);
    this.#queues.set(key, queue);
    return queue;
  }

  /** Drops queues without a waiter and without a refusal to remember. Call it about twice a second. */
  tick(): void {
    const now = this.#options.clock();
    for (const [key, queue] of this.#queues) {
      if (!queue.isIdle(now)) continue;
      queue.dispose();
      this.#queues.delete(key);
    }
  }
}
