import { malformed } from "./http-error.ts";

/** What is expected next. */
type State =
  | "size"
  | "size-rest"
  | "extension"
  | "size-line-feed"
  | "data"
  | "data-return"
  | "data-line-feed"
  | "trailer"
  | "trailer-line"
  | "trailer-line-feed"
  | "last-line-feed"
  | "done";

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const semicolon = 0x3b;
/** Digits of a chunk's size: 2 to the 48th is more than anybody sends. */
const maxDigits = 12;
/** Extensions of one chunk, and trailers, which nobody reads. */
const maxUnread = 16 * 1024;

/**
 * Takes a body out of its chunks, RFC 9112, section 7.1. Every line has to end with CR LF, and a size is digits alone: what is
 * read kindly here is read otherwise elsewhere, and what one takes for a chunk the other takes for the next answer.
 */
export class ChunkedBody {
  #state: State = "size";
  #left = 0;
  #digits = 0;
  #unread = 0;

  get isDone(): boolean {
    return this.#state === "done";
  }

  /**
   * Reads on from `start` up to `end` or the end of the body. Copies what belongs to the body to the beginning of `into`,
   * which has to be as long as what is read.
   */
  take(bytes: Uint8Array, start: number, end: number, into: Buffer): { readonly at: number; readonly length: number } {
    let at = start;
    let length = 0;
    while (at < end && this.#state !== "done") {
      if (this.#state !== "data") {
        this.#step(bytes[at] ?? 0);
        at += 1;
        continue;
      }
      const size = Math.min(this.#left, end - at);
      into.set(bytes.subarray(at, at + size), length);
      length += size;
      at += size;
      this.#left -= size;
      if (this.#left === 0) this.#state = "data-return";
    }
    return { at, length };
  }

  #step(byte: number): void {
    switch (this.#state) {
      case "size":
      case "size-rest":
        this.#sizeStep(byte);
        return;
      case "extension":
        if (byte === carriageReturn) this.#state = "size-line-feed";
        else this.#skip(byte);
        return;
      case "size-line-feed":
        this.#expect(byte, lineFeed, this.#left === 0 ? "trailer" : "data");
        return;
      case "data-return":
        this.#expect(byte, carriageReturn, "data-line-feed");
        return;
      case "data-line-feed":
        this.#expect(byte, lineFeed, "size");
        return;
      case "trailer":
        this.#state = byte === carriageReturn ? "last-line-feed" : "trailer-line";
        if (byte !== carriageReturn) this.#skip(byte);
        return;
      case "trailer-line":
        if (byte === carriageReturn) this.#state = "trailer-line-feed";
        else this.#skip(byte);
        return;
      case "trailer-line-feed":
        this.#expect(byte, lineFeed, "trailer");
        return;
      default:
        this.#expect(byte, lineFeed, "done");
    }
  }

  #sizeStep(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#left = this.#state === "size" ? digit : this.#left * 16 + digit;
      this.#digits = this.#state === "size" ? 1 : this.#digits + 1;
      this.#state = "size-rest";
      if (this.#digits > maxDigits) throw malformed("a chunk is too large");
      return;
    }
    if (this.#state === "size" || (byte !== carriageReturn && byte !== semicolon)) {
      throw malformed("a chunk has no size");
    }
    this.#unread = 0;
    this.#state = byte === carriageReturn ? "size-line-feed" : "extension";
  }

  #expect(byte: number, expected: number, next: State): void {
    if (byte !== expected) throw malformed("a chunk does not end where it says");
    this.#state = next;
  }

  #skip(byte: number): void {
    this.#unread += 1;
    if (byte === lineFeed || byte === 0) throw malformed("a line of the chunks has a control character");
    if (this.#unread > maxUnread) throw malformed("the lines of the chunks are too long");
  }
}

/** The value of a hexadecimal digit, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
