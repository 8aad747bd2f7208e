import { Worker } from "node:worker_threads";
import { packEvents } from "#chassis/events/event-pack.ts";
import type { LogLevel } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";
import type { Settled } from "./settlement.ts";
import type { TimeZone } from "./time-zone.ts";

/** The database of accounting, for a thread that opens it for itself. */
export interface ThreadDatabase {
  readonly url: Secret;
  /** As `DatabaseOptions.watched`. */
  readonly watched: boolean;
  /** As `trustAuthorities`. */
  readonly authorities?: string | undefined;
  readonly logLevel: LogLevel;
}

/** What the thread is given. */
export interface SettlementWorkerData extends Omit<ThreadDatabase, "url"> {
  readonly url: string;
  readonly timeZone: string;
}

/** A batch for the thread, or the end of its work. */
export type ToSettlementWorker = { readonly id: number; readonly packs: readonly Uint8Array[] } | "close";

/** What became of a batch. `ready` comes once, first. */
export type FromSettlementWorker =
  | "ready"
  | { readonly id: number; readonly settled: Settled }
  | { readonly id: number; readonly failure: string };

/** A batch in hand is a few megabytes: most of it dies young. */
const youngGenerationMb = 24;
const closeTimeoutMs = 10_000;

/** The thread that settles usage records while there are many. It has connections of its own. */
export class SettlementThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<Settled>>();
  #nextId = 1;
  #alive = true;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (message: FromSettlementWorker) => this.#receive(message));
    const end = (error: Error) => {
      this.#alive = false;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
    worker.on("error", end);
    worker.once("exit", () => end(new Error("the settlement thread has ended")));
  }

  /** Resolves when the thread takes batches. */
  static async start({ url, ...database }: ThreadDatabase, timeZone: TimeZone): Promise<SettlementThread> {
    const workerData: SettlementWorkerData = { ...database, url: url.reveal(), timeZone: timeZone.name };
    const worker = new Worker(new URL("./settlement-worker.ts", import.meta.url), {
      workerData,
      name: "settlement",
      env: {},
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    });
    const { promise, resolve, reject } = Promise.withResolvers<SettlementThread>();
    worker.once("message", () => resolve(new SettlementThread(worker)));
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("the settlement thread ended at its start")));
    return promise;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** As `settle` does; rejects too where the thread ends meanwhile. */
  settle(records: readonly Uint8Array[]): Promise<Settled> {
    const id = this.#nextId++;
    const waiting = Promise.withResolvers<Settled>();
    this.#waiting.set(id, waiting);
    const packs = packEvents(records);
    const message: ToSettlementWorker = { id, packs };
    this.#worker.postMessage(
      message,
      packs.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer),
    );
    return waiting.promise;
  }

  /** Ends the thread after the batches that it has. */
  async close(): Promise<void> {
    if (!this.#alive) return;
    const ended = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    const message: ToSettlementWorker = "close";
    this.#worker.postMessage(message);
    const timer = setTimeout(() => void this.terminate(), closeTimeoutMs).unref();
    await ended;
    clearTimeout(timer);
  }

  /** Ends it at once. Transactions under way are rolled back. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #receive(message: FromSettlementWorker): void {
    if (message === "ready") return;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if ("settled" in message) waiting?.resolve(message.settled);
    else waiting?.reject(new Error(message.failure));
  }
}
