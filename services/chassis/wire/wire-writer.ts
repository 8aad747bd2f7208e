const defaultCapacity = 16 * 1024;
const nothing = Buffer.allocUnsafeSlow(0);
/** Up to here a text that is ASCII is written character by character, which is cheaper than a call of the runtime. */
const shortText = 16;
/** From here a text's length in bytes is asked for; below, room for the worst case is reserved. */
const longText = 4096;

/**
 * Writes protobuf's wire format into a large buffer, one message behind the other. `take` hands out what was written as a
 * view; its place is never written again, so that nothing is copied, and the collector sees one buffer where it would see
 * several for each message. A writer from which nothing is taken grows, and is used again by setting `at` to 0.
 */
export class WireWriter {
  bytes: Buffer = nothing;
  at = 0;
  readonly #capacity: number;
  /** Where begins what was not taken yet. */
  #start = 0;

  /** `capacity` is how much it takes at once; who holds on to one message holds on to so much. */
  constructor(capacity: number = defaultCapacity) {
    this.#capacity = capacity;
  }

  /** Everything that was written since the last time. */
  take(): Buffer {
    const taken = this.bytes.subarray(this.#start, this.at);
    this.#start = this.at;
    if (this.bytes.length > this.#capacity) {
      this.bytes = nothing;
      this.#start = 0;
      this.at = 0;
    }
    return taken;
  }

  /** The present place, for `close` and `rewind`. It stays valid when the buffer grows. */
  mark(): number {
    return this.at - this.#start;
  }

  /** Forgets what was written since the mark. */
  rewind(mark: number): void {
    this.at = this.#start + mark;
  }

  /** Leaves room for bytes that the caller fills in. */
  skip(length: number): void {
    this.#reserve(length);
    this.at += length;
  }

  raw(chunk: Uint8Array): void {
    this.#reserve(chunk.length);
    this.bytes.set(chunk, this.at);
    this.at += chunk.length;
  }

  /** Opens what stands behind its own length, and returns the mark that `close` needs. */
  open(): number {
    this.#reserve(1);
    this.at += 1;
    return this.at - this.#start;
  }

  /** Closes what was opened at `mark`. */
  close(mark: number): void {
    const from = this.#start + mark;
    const length = this.at - from;
    if (length < 0x80) {
      this.bytes[from - 1] = length;
      return;
    }
    const extra = varintLength(length) - 1;
    this.#reserve(extra);
    const begin = this.#start + mark;
    this.bytes.copyWithin(begin + extra, begin, this.at);
    this.at = begin - 1;
    this.#varint(length);
    this.at += length;
  }

  /** An unsigned integer up to 2^53, a field's tag for one. */
  varint(value: number): void {
    this.#reserve(10);
    this.#varint(value);
  }

  /** The same with its field's tag before it. */
  varintField(field: number, value: number): void {
    this.#reserve(15);
    this.#varint(field << 3);
    this.#varint(value);
  }

  /** A signed integer of 32 bits: a negative one takes ten bytes. */
  int32(value: number): void {
    if (value >= 0) this.varint(value);
    else this.bigVarint(BigInt(value));
  }

  /** An integer of 64 bits, signed or not. */
  bigVarint(value: bigint): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.bytes[this.at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.bytes[this.at++] = Number(rest);
  }

  fixed32(value: number): void {
    this.#reserve(4);
    this.at = this.bytes.writeUInt32LE(value >>> 0, this.at);
  }

  fixed64(value: bigint): void {
    this.#reserve(8);
    this.at = this.bytes.writeBigUInt64LE(BigInt.asUintN(64, value), this.at);
  }

  float(value: number): void {
    this.#reserve(4);
    this.at = this.bytes.writeFloatLE(value, this.at);
  }

  double(value: number): void {
    this.#reserve(8);
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  /** Bytes behind their length. */
  chunk(value: Uint8Array): void {
    this.#reserve(value.length + 5);
    this.#varint(value.length);
    this.bytes.set(value, this.at);
    this.at += value.length;
  }

  /** A text behind its length, in UTF-8. */
  text(value: string): void {
    const { length } = value;
    this.#reserve((length < longText ? length * 3 : Buffer.byteLength(value)) + 5);
    if (length <= shortText && this.#shortAscii(value)) return;
    const guessed = varintLength(length);
    const written = this.bytes.write(value, this.at + guessed, "utf8");
    const needed = varintLength(written);
    if (needed !== guessed) {
      const from = this.at + guessed;
      this.bytes.copyWithin(this.at + needed, from, from + written);
    }
    this.#varint(written);
    this.at += written;
  }

  #shortAscii(value: string): boolean {
    const { bytes } = this;
    const { length } = value;
    let at = this.at;
    bytes[at++] = length;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.at = at;
    return true;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7fffffff) {
      this.bytes[this.at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest > 0x7f) {
      this.bytes[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.at++] = rest;
  }

  #reserve(more: number): void {
    if (this.at + more > this.bytes.length) this.#grow(more);
  }

  #grow(more: number): void {
    const kept = this.at - this.#start;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#capacity, 2 * (kept + more)));
    this.bytes.copy(grown, 0, this.#start, this.at);
    this.bytes = grown;
    this.#start = 0;
    this.at = kept;
  }
}

function varintLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}

/** Pieces as one. Those that a writer has handed out one after the other lie side by side and are not copied. */
export function joined(pieces: readonly Buffer[]): Buffer {
  const first = pieces[0] ?? nothing;
  if (pieces.length < 2) return first;
  let end = first.byteOffset;
  for (const piece of pieces) {
    if (piece.buffer !== first.buffer || piece.byteOffset !== end) return Buffer.concat(pieces);
    end += piece.length;
  }
  return Buffer.from(first.buffer, first.byteOffset, end - first.byteOffset);
}
