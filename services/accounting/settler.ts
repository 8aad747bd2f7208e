import { errorText, type Logger } from "#chassis/log.ts";
import { type Settled, type SettlementContext, settle } from "./settlement.ts";
import { SettlementThread, type ThreadDatabase } from "./settlement-thread.ts";

/** A batch of this size says that there is much to settle. */
const busyBatch = 50;
const idleMs = 60_000;
const restartPauseMs = 5000;

/**
 * Settles usage records on this thread; while there is much of it, on one of its own, so that calls of models need not wait
 * for it. That thread is started by the first large batch, which does not wait for it, and ends a minute after the last.
 */
export class Settler {
  readonly #context: SettlementContext;
  readonly #thread: ThreadDatabase | undefined;
  readonly #log: Logger;
  #running: SettlementThread | undefined;
  #starting: Promise<void> | undefined;
  #notBefore = 0;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  /** `thread`: absent where everything is settled here. */
  constructor(context: SettlementContext, thread: ThreadDatabase | undefined, log: Logger) {
    this.#context = context;
    this.#thread = thread;
    this.#log = log;
  }

  /** Whether the thread settles. */
  get threaded(): boolean {
    return this.#running?.alive === true;
  }

  /** As `settle` does. Rejects also where the thread dies meanwhile: the batch is delivered again, and settled here. */
  settle(records: readonly Uint8Array[]): Promise<Settled> {
    if (this.#thread !== undefined && records.length >= busyBatch) this.#busy(this.#thread);
    const thread = this.threaded ? this.#running : undefined;
    return thread === undefined ? settle(this.#context, records) : thread.settle(records);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    await this.#starting;
    await this.#running?.close();
  }

  #busy(options: ThreadDatabase): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#end(), idleMs).unref();
    if (this.threaded || this.#starting !== undefined || this.#closed) return;
    if (performance.now() < this.#notBefore) return;
    this.#notBefore = performance.now() + restartPauseMs;
    this.#starting = SettlementThread.start(options, this.#context.timeZone).then(
      (thread) => {
        this.#running = thread;
        this.#starting = undefined;
      },
      (error: unknown) => {
        this.#log.warn("the settlement thread does not start", { error: errorText(error) });
        this.#starting = undefined;
      },
    );
  }

  #end(): void {
    const thread = this.#running;
    this.#running = undefined;
    void thread?.close();
  }
}
