/** Writes protobuf's wire format into one buffer that is used again and again. It grows, and never shrinks. */
export class ProtoWriter {
  bytes: Buffer;
  at: number;

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
    this.at = 0;
  }

  /** Leaves room for bytes that the caller fills in. */
  skip(length: number): void {
    this.#reserve(length);
    this.at += length;
  }

  string(field: number, value: string): void {
    if (value !== "") this.#text(field, value);
  }

  /** Writes empty strings too, as a repeated field needs. */
  strings(field: number, values: readonly string[]): void {
    for (const value of values) this.#text(field, value);
  }

  bool(field: number, value: boolean): void {
    if (value) this.uint(field, 1);
  }

  /** An enum or an unsigned integer up to 2^53. Zero is left out, as proto3 does. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.#reserve(20);
    this.#varint(field << 3);
    this.#varint(value);
  }

  /** An int64 or uint64. Zero is left out. */
  bigint(field: number, value: bigint): void {
    if (value !== 0n) this.optionalBigint(field, value);
  }

  /** An int64 or uint64 with presence: zero is written. */
  optionalBigint(field: number, value: bigint): void {
    this.#reserve(20);
    this.#varint(field << 3);
    if (value >= 0n && value <= 0x1fffffffffffffn) this.#varint(Number(value));
    else this.#bigVarint(BigInt.asUintN(64, value));
  }

  /** Opens a message field and returns the mark that `close` needs. */
  open(field: number): number {
    this.#reserve(12);
    this.#varint((field << 3) | 2);
    this.at += 1;
    return this.at;
  }

  /** Closes the message opened at `mark`. */
  close(mark: number): void {
    const length = this.at - mark;
    if (length < 0x80) {
      this.bytes[mark - 1] = length;
      return;
    }
    const extra = varintLength(length) - 1;
    this.#reserve(extra);
    this.bytes.copyWithin(mark + extra, mark, this.at);
    this.at = mark - 1;
    this.#varint(length);
    this.at += length;
  }

  /** Raw bytes of a text that is known to be ASCII. */
  ascii(value: string): void {
    this.#reserve(value.length);
    this.at += this.bytes.write(value, this.at, "latin1");
  }

  /** Bytes that are encoded already. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  #text(field: number, value: string): void {
    const length = Buffer.byteLength(value);
    this.#reserve(length + 20);
    this.#varint((field << 3) | 2);
    this.#varint(length);
    this.at += this.bytes.write(value, this.at, "utf8");
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

  #bigVarint(value: bigint): void {
    let rest = value;
    while (rest > 0x7fn) {
      this.bytes[this.at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.bytes[this.at++] = Number(rest);
  }

  #reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.at + more));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
  }
}

function varintLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}
