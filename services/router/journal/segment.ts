import { closeSync, fdatasync, fdatasyncSync, ftruncateSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Slots, type Slotted } from "#chassis/slots.ts";
import { segmentMagic } from "./frame.ts";

/** Writes bytes at a place of a file, as `writeSync` does; tests replace it to fill the disk. */
export type WriteBytes = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) => number;

export function segmentName(number: number): string {
  return `${String(number).padStart(8, "0")}.journal`;
}

export const segmentPattern = /^\d{8,}\.journal$/;

/** A `begin` frame whose call has not ended. */
export interface OpenCall extends Slotted {
  readonly recordId: string;
  segment: Segment;
  offset: number;
  length: number;
}

/** One append-only file of a journal, with what keeps it from being deleted. */
export class Segment {
  readonly number: number;
  readonly path: string;
  /** Calls whose `begin` stands here and that have not ended. */
  readonly open = new Slots<OpenCall>();
  /** How many `end` frames here are not acknowledged. */
  unacked = 0;
  size = 0;
  readonly #fd: number;
  readonly #write: WriteBytes;
  #dirty = false;
  #syncing = false;
  #closing = false;

  constructor(folder: string, number: number, write: WriteBytes = writeSync) {
    this.number = number;
    this.path = join(folder, segmentName(number));
    this.#write = write;
    this.#fd = openSync(this.path, "wx", 0o600);
    try {
      this.append(segmentMagic, segmentMagic.length);
    } catch (error) {
      this.close();
      this.remove();
      throw error;
    }
  }

  /** Appends the first `length` bytes, all of them or none. Returns where they begin. */
  append(bytes: Uint8Array, length: number): number {
    const offset = this.size;
    try {
      for (let done = 0; done < length; ) {
        const written = this.#write(this.#fd, bytes, done, length - done, offset + done);
        if (written === 0) throw new Error("the file takes no more bytes");
        done += written;
      }
    } catch (error) {
      this.#cut(offset);
      throw error;
    }
    this.size += length;
    this.#dirty = true;
    return offset;
  }

  /** Brings what was appended to the disk in the background. The next call of it catches what came meanwhile. */
  sync(onError: (error: Error) => void): void {
    if (!this.#dirty || this.#syncing || this.#closing) return;
    this.#dirty = false;
    this.#syncing = true;
    fdatasync(this.#fd, (error) => {
      this.#syncing = false;
      if (error !== null) onError(error);
      if (this.#closing) closeSync(this.#fd);
    });
  }

  syncNow(): void {
    if (this.#dirty) fdatasyncSync(this.#fd);
    this.#dirty = false;
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    if (!this.#syncing) closeSync(this.#fd);
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }

  /** Takes a half written frame off again. Where even that fails, the next frame is written over it. */
  #cut(size: number): void {
    try {
      ftruncateSync(this.#fd, size);
    } catch {
      this.#dirty = true;
    }
  }
}
