import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { errorText, type Logger } from "#chassis/log.ts";
import { WireWriter } from "#chassis/wire/wire-writer.ts";
import { type FrameType, frameType, headerLength, recordIdsIn, writeFrame } from "./frame.ts";
import { createOwnerFolder, removeOwnerFolder } from "./owner-folder.ts";
import type { OwnerLock } from "./owner-lock.ts";
import { type OpenCall, Segment, type WriteBytes } from "./segment.ts";

export interface JournalOptions {
  /** The folder that holds the journals of all owners. */
  readonly folder: string;
  /** The process, a UUID minted at its start. */
  readonly owner: string;
  readonly log: Logger;
  /** When a segment is full; 8 MB. The turn that fills it is still written there. */
  readonly segmentBytes?: number;
  /**
   * Brings the journal to the disk so often, in milliseconds. Without it a record survives the end of the process at
   * any moment, and not that of the machine; with it, a power cut takes at most the records of so many milliseconds
   * and of one flush.
   */
  readonly fsyncIntervalMs?: number;
  readonly write?: WriteBytes;
}

/** What one flush writes, and what is to be taken back where it fails. */
interface Group {
  readonly begun: OpenCall[];
  readonly ended: { readonly call: OpenCall; readonly segment: Segment }[];
  written: PromiseWithResolvers<void> | undefined;
}

/** A place between two frames. */
export interface JournalPosition {
  readonly segment: Segment;
  readonly offset: number;
}

/** Older segments beyond this number are emptied by writing their open calls again. */
const keptSegments = 4;

/**
 * The journal of one process: what it admitted and how it ended, on the local disk before a client can have seen it.
 * Frames of one turn of the event loop are written together at its end, because a system call for every frame would cost
 * more than everything else about it: whoever must not go on before a frame is in the file waits for `flushed()`. Writing
 * is synchronous and goes to the page cache, so a process that is killed at any moment loses nothing that was flushed;
 * whoever finds the folder without its owner adopts it (adoption.ts).
 *
 * Segments are deleted oldest first, when no call that began there is open and every `end` there is acknowledged. The
 * order matters: a `void` must not vanish before its `begin`.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #path: string;
  readonly #lock: OwnerLock;
  /** The frames that are not in the file yet. */
  readonly #writer = new WireWriter(64 * 1024);
  readonly #segments: Segment[] = [];
  readonly #timer: NodeJS.Timeout | undefined;
  #current: Segment;
  #group: Group = newGroup();
  #immediate: NodeJS.Immediate | undefined;
  #closed = false;
  #complainedAt = Number.NEGATIVE_INFINITY;

  /** Makes the folder of a new owner. Throws where it exists or the disk refuses. */
  constructor(options: JournalOptions) {
    this.#options = options;
    this.#path = join(options.folder, options.owner);
    this.#lock = createOwnerFolder(options.folder, options.owner);
    this.#current = this.#openSegment(1);
    const interval = options.fsyncIntervalMs;
    if (interval !== undefined) this.#timer = setInterval(() => this.#sync(), interval).unref();
  }

  get openCalls(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.open.size, 0);
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.size, 0);
  }

  /** The segment after this one. */
  after(segment: Segment): Segment | undefined {
    return this.#segments.find(({ number }) => number > segment.number);
  }

  /**
   * Takes a call that starts, its record encoded. Throws where it takes none; it may be made once `flushed()` has resolved.
   */
  begin(recordId: string, record: Uint8Array): OpenCall {
    const { segment, offset } = this.#add(frameType.begin, record);
    const call = { recordId, slot: -1, segment, offset, length: headerLength + record.length };
    call.segment.open.add(call);
    this.#group.begun.push(call);
    return call;
  }

  /** Takes how a call ended, encoded. Where that throws or `flushed()` rejects, its `begin` stays until `forget`. */
  end(call: OpenCall, record: Uint8Array): JournalPosition {
    const position = this.#add(frameType.end, record);
    call.segment.open.delete(call);
    position.segment.unacked += 1;
    this.#group.ended.push({ call, segment: position.segment });
    return position;
  }

  /** Resolves when everything taken so far is in the file, at the end of this turn. Rejects where the disk refuses. */
  flushed(): Promise<void> {
    if (this.#writer.at === 0) return Promise.resolve();
    this.#group.written ??= Promise.withResolvers();
    return this.#group.written.promise;
  }

  /** Writes everything taken so far. Throws where the disk refuses: then it is as if nothing of it had been taken. */
  flush(): void {
    const group = this.#group;
    const length = this.#writer.at;
    if (length === 0) return;
    this.#group = newGroup();
    this.#writer.at = 0;
    try {
      this.#current.append(this.#writer.bytes, length);
    } catch (error) {
      for (const { call, segment } of group.ended) {
        segment.unacked -= 1;
        call.segment.open.add(call);
      }
      for (const call of group.begun) call.segment.open.delete(call);
      group.written?.reject(error);
      throw error;
    }
    group.written?.resolve();
  }

  /** Writes at once that a call cost nothing. Never throws; a disk that refuses is logged. */
  void(call: OpenCall): void {
    this.#addNow(frameType.void, Buffer.from(call.recordId, "latin1"));
    call.segment.open.delete(call);
  }

  /** Writes at once that the bus has these records, and deletes what is no longer needed. Never throws. */
  acked(records: readonly Buffer[], segments: readonly Segment[]): void {
    this.#addNow(frameType.acked, recordIdsIn(records));
    for (const segment of segments) segment.unacked -= 1;
    this.#collect();
  }

  /** Forgets the `begin` of a call whose end could only be kept in memory and was sent from there. */
  forget(call: OpenCall): void {
    call.segment.open.delete(call);
  }

  /**
   * Closes the files. The folder is removed where nothing in it is open or unacknowledged; else it stays, without its
   * lock, for the next process to adopt.
   */
  close(): void {
    if (this.#closed) return;
    this.#flushOrComplain();
    this.#closed = true;
    clearInterval(this.#timer);
    const empty = this.#segments.every(({ open, unacked }) => open.size === 0 && unacked === 0);
    if (!empty && this.#options.fsyncIntervalMs !== undefined) this.#current.syncNow();
    for (const segment of this.#segments) segment.close();
    if (empty) removeOwnerFolder(this.#options.folder, this.#options.owner);
    this.#lock.release();
  }

  /** Puts a frame behind those that wait. Returns where it will stand. */
  #add(type: FrameType, payload: Uint8Array): JournalPosition {
    if (this.#closed) throw new Error("the journal is closed");
    const { at } = this.#writer;
    if (at === 0 && this.#current.size >= (this.#options.segmentBytes ?? 8 * 1024 * 1024)) this.#rotate();
    writeFrame(this.#writer, type, payload);
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      this.#flushOrComplain();
    });
    return { segment: this.#current, offset: this.#current.size + at };
  }

  #addNow(type: FrameType, payload: Uint8Array): void {
    try {
      this.#add(type, payload);
      this.flush();
    } catch (error) {
      this.#complain(error);
    }
  }

  #flushOrComplain(): void {
    try {
      this.flush();
    } catch (error) {
      this.#complain(error);
    }
  }

  /** At most once a second: a full disk refuses thousands. */
  #complain(error: unknown): void {
    const now = performance.now();
    if (now - this.#complainedAt < 1000) return;
    this.#complainedAt = now;
    this.#options.log.error("the journal refuses a write", { error: errorText(error) });
  }

  #rotate(): void {
    const full = this.#current;
    this.#current = this.#openSegment(full.number + 1);
    if (this.#options.fsyncIntervalMs !== undefined) full.syncNow();
    full.close();
    this.#collect();
  }

  #openSegment(number: number): Segment {
    const segment = new Segment(this.#path, number, this.#options.write);
    this.#segments.push(segment);
    return segment;
  }

  #collect(): void {
    for (let oldest = this.#segments[0]; oldest !== undefined; oldest = this.#segments[0]) {
      if (oldest === this.#current || oldest.unacked > 0) return;
      if (oldest.open.size > 0 && (this.#segments.length <= keptSegments || !this.#carryForward(oldest))) return;
      this.#segments.shift();
      oldest.remove();
    }
  }

  /** Writes the open calls of an old segment again at the end, so that a call of an hour does not keep hours of files. */
  #carryForward(oldest: Segment): boolean {
    const open = [...oldest.open];
    if (open.reduce((sum, { length }) => sum + length, 0) > oldest.size / 2) return false;
    try {
      const fd = openSync(oldest.path, "r");
      try {
        for (const call of open) this.#carry(call, fd);
      } finally {
        closeSync(fd);
      }
      return true;
    } catch (error) {
      this.#options.log.error("an old journal segment cannot be emptied", { error: errorText(error) });
      return false;
    }
  }

  #carry(call: OpenCall, fd: number): void {
    const bytes = Buffer.allocUnsafe(call.length);
    if (readSync(fd, bytes, 0, call.length, call.offset) !== call.length) throw new Error("the segment is too short");
    const offset = this.#current.append(bytes, call.length);
    call.segment.open.delete(call);
    call.segment = this.#current;
    call.offset = offset;
    this.#current.open.add(call);
  }

  #sync(): void {
    this.#current.sync((error) => this.#options.log.error("the journal cannot be flushed", { error: error.message }));
  }
}

function newGroup(): Group {
  return { begun: [], ended: [], written: undefined };
}
