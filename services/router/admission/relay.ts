import { closeSync, openSync, readSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import type { EventBus } from "#chassis/events/bus.ts";
import { UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { frameType, readFrames, segmentMagic } from "../journal/frame.ts";
import type { Journal, JournalPosition } from "../journal/journal.ts";
import type { OpenCall, Segment } from "../journal/segment.ts";
import type { AdmissionEvents } from "./events.ts";

export interface RelayOptions {
  readonly journal: Journal;
  readonly bus: Pick<EventBus, "publishDurable">;
  readonly events: Pick<AdmissionEvents, "relayed" | "relayFailed">;
  /** How long records are gathered in quiet times, in milliseconds; in busy ones five times as long, or a batch. */
  readonly intervalMs: number;
  /** How many records wait in memory. */
  readonly memory: number;
  /** Called for every record that the bus has, with its scopes. */
  readonly onAcked: (scopes: readonly Charged[]) => void;
}

/** What is charged. */
export interface Charged {
  readonly scope: string;
}

/** A record of a call that ended. As bytes it weighs less than as an object with its parts, of which thousands may wait. */
export interface EndedRecord {
  readonly encoded: Buffer;
  /** What the call is charged to. */
  readonly scopes: readonly Charged[];
}

/** A record on its way, and the segment that its `end` is in: undefined where only memory has it. */
interface Item extends EndedRecord {
  readonly call: OpenCall | undefined;
  readonly segment: Segment | undefined;
}

const batchSize = 500;
/** After a batch of this size the next one is gathered for longer: a batch costs its receiver as much as many records. */
const busyBatch = 50;
const busyFactor = 5;
const readBytes = 1024 * 1024;
const publishTimeoutMs = 30_000;
const maxBackoffMs = 5000;

/**
 * Sends the records of ended calls to the event bus, for ever until it takes them, and has the journal forget them then.
 * One batch is under way at a time. Where more wait than memory is given, the later ones are read back from the journal.
 */
export class Relay {
  readonly #options: RelayOptions;
  #memory: Item[] = [];
  /** The first `end` that is only in the journal, and how many follow. */
  #behind: { position: JournalPosition; count: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sending = false;
  #lastBatch = 0;
  #failures = 0;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** How many records the bus does not have yet. */
  get unsent(): number {
    return this.#memory.length + (this.#behind?.count ?? 0);
  }

  /** Takes a record over. `position` is that of its `end` in the journal, undefined where the journal refused it. */
  push({ encoded, scopes }: EndedRecord, call: OpenCall, position: JournalPosition | undefined): void {
    if (position === undefined) this.#memory.push({ encoded, scopes, call, segment: undefined });
    else if (this.#behind !== undefined) this.#behind.count += 1;
    else if (this.#memory.length >= this.#options.memory) this.#behind = { position, count: 1 };
    else this.#memory.push({ encoded, scopes, call: undefined, segment: position.segment });
    if (this.unsent === batchSize && this.#failures === 0) this.#unschedule();
    this.#schedule();
  }

  /** Resolves when nothing is unsent, or after `timeoutMs`; true where nothing is. */
  async flush(timeoutMs: number): Promise<boolean> {
    if (this.unsent === 0) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idle.push(resolve);
    this.#lastBatch = 0;
    this.#unschedule();
    this.#schedule();
    const timer = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(timer);
    return this.unsent === 0;
  }

  /** Stops sending. What is unsent stays in the journal. */
  close(): void {
    this.#closed = true;
    this.#unschedule();
  }

  #unschedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#sending || this.#closed) return;
    const full = this.unsent >= batchSize && this.#failures === 0;
    const backoff = Math.min(maxBackoffMs, 100 * 2 ** Math.min(this.#failures - 1, 10));
    const gathering = this.#options.intervalMs * (this.#lastBatch >= busyBatch ? busyFactor : 1);
    const delay = full ? 0 : this.#failures === 0 ? gathering : backoff * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#send();
    }, delay);
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      if (this.#memory.length === 0) this.#readBehind();
      const batch = this.#memory.slice(0, batchSize);
      this.#lastBatch = batch.length;
      if (batch.length > 0) await this.#sendBatch(batch);
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      this.#options.events.relayFailed(this.#failures, error);
    }
    this.#sending = false;
    if (this.unsent > 0) return this.#schedule();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #sendBatch(batch: readonly Item[]): Promise<void> {
    const records = batch.map(({ encoded }) => encoded);
    await withTimeout(this.#options.bus.publishDurable(UsageRecordedSchema, records), publishTimeoutMs);
    this.#memory = this.#memory.slice(batch.length);
    if (!this.#closed) this.#acknowledge(batch, records);
    this.#options.events.relayed(batch.length);
    for (const { scopes } of batch) this.#options.onAcked(scopes);
  }

  #acknowledge(batch: readonly Item[], records: readonly Buffer[]): void {
    const { journal } = this.#options;
    for (const { call } of batch) if (call !== undefined) journal.forget(call);
    const segments = batch.flatMap(({ segment }) => segment ?? []);
    journal.acked(records, segments);
  }

  /** Takes the next batch of `end` frames from the journal into memory. */
  #readBehind(): void {
    const behind = this.#behind;
    if (behind === undefined) return;
    const items: Item[] = [];
    let { position } = behind;
    while (items.length < Math.min(batchSize, behind.count)) {
      const offset = readEnds(position, Math.min(batchSize, behind.count), items);
      if (offset !== undefined) position = { segment: position.segment, offset };
      else {
        const next = this.#options.journal.after(position.segment);
        if (next === undefined) break;
        position = { segment: next, offset: segmentMagic.length };
      }
    }
    this.#memory = items;
    const count = behind.count - items.length;
    this.#behind = count === 0 || items.length === 0 ? undefined : { position, count };
    if (items.length === 0) throw new Error(`${count} records stay in the journal until the next start`);
  }
}

/**
 * Adds the `end` frames from `position` on to `items`, up to `limit`. Returns where to go on in the segment, or undefined
 * at its end.
 */
function readEnds({ segment, offset }: JournalPosition, limit: number, items: Item[]): number | undefined {
  const bytes = Buffer.allocUnsafe(Math.min(readBytes, segment.size - offset));
  const fd = openSync(segment.path, "r");
  try {
    const length = readSync(fd, bytes, 0, bytes.length, offset);
    let end = 0;
    for (const frame of readFrames(bytes.subarray(0, length), 0)) {
      if (items.length >= limit) break;
      end = frame.end;
      if (frame.type !== frameType.end) continue;
      const { settlements } = fromBinary(UsageRecordedSchema, frame.payload);
      items.push({ encoded: frame.payload, scopes: settlements, call: undefined, segment });
    }
    return end === 0 ? undefined : offset + end;
  } finally {
    closeSync(fd);
  }
}

async function withTimeout(work: Promise<void>, ms: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("the event bus does not answer")), ms);
  try {
    await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
