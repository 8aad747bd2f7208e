import {
  type AnswerHead,
  type BodyLength,
  bodyLength,
  type HeadReader,
  keepAliveMs,
  staysOpen,
} from "./answer-head.ts";
import { ChunkedBody } from "./chunked-body.ts";
import { malformed } from "./http-error.ts";

const bareLineFeed = /[^\r]\n/;

/** Who hears of an answer, in this order. */
export interface AnswerListener {
  head(head: AnswerHead): void;
  /** A piece of the body, the listener's to keep. */
  data(piece: Buffer): void;
}

/**
 * Reads the answers of one connection, one after the other, out of a buffer that is used again: what it hands out is copied.
 * It throws an `HttpError` where an answer is malformed, and is of no use afterwards.
 */
export class AnswerParser {
  readonly #heads: HeadReader;
  readonly #maxHeadBytes: number;
  #listener: AnswerListener | undefined;
  #method = "";
  #head: AnswerHead | undefined;
  #length: BodyLength = 0;
  #left = 0;
  #chunks: ChunkedBody | undefined;
  /** Bytes of heads so far, those that are no answers included. */
  #headBytes = 0;
  /** The beginning of a head whose end has not come. */
  #held = "";
  /** The last of it, where the end may begin. */
  #heldEnd = "";
  #isDone = true;

  /** `heads`: shared by the connections of a client. */
  constructor(heads: HeadReader, maxHeadBytes: number) {
    this.#heads = heads;
    this.#maxHeadBytes = maxHeadBytes;
  }

  /** An answer to such a request is to come. */
  begin(method: string, listener: AnswerListener): void {
    this.#method = method;
    this.#listener = listener;
    this.#head = undefined;
    this.#chunks = undefined;
    this.#headBytes = 0;
    this.#isDone = false;
  }

  /** Whether the answer is complete. */
  get isDone(): boolean {
    return this.#isDone;
  }

  get hasHead(): boolean {
    return this.#head !== undefined;
  }

  /** Whether another answer may follow the one that is complete. */
  get staysOpen(): boolean {
    return this.#head !== undefined && this.#length !== "until-close" && staysOpen(this.#head);
  }

  /** For how long the server keeps the connection, in milliseconds, where it says so. */
  get keepAliveMs(): number | undefined {
    return this.#head === undefined ? undefined : keepAliveMs(this.#head);
  }

  /** Nothing points to the answer any more. */
  forget(): void {
    this.#listener = undefined;
    this.#head = undefined;
    this.#chunks = undefined;
    this.#isDone = true;
  }

  /** Reads the first `end` bytes; returns how many of them belong to the answer. */
  take(bytes: Buffer, end: number): number {
    let at = 0;
    while (at < end && !this.#isDone) {
      if (this.#head === undefined) at = this.#takeHead(bytes, at, end);
      else if (this.#chunks !== undefined) at = this.#takeChunks(this.#chunks, bytes, at, end);
      else at = this.#takeBytes(bytes, at, end);
    }
    return at;
  }

  /** The connection has ended: whether that ends the answer too. */
  finish(): boolean {
    if (!this.#isDone && this.#head !== undefined && this.#length === "until-close") this.#isDone = true;
    return this.#isDone;
  }

  #takeHead(bytes: Buffer, at: number, end: number): number {
    const text = bytes.toString("latin1", at, end);
    const overlap = this.#heldEnd.length;
    const found = overlap === 0 ? text.indexOf("\r\n\r\n") : (this.#heldEnd + text).indexOf("\r\n\r\n");
    // Behind the end of the last line; the empty line is two bytes more.
    const size = found === -1 ? text.length : found - overlap + 4;
    this.#headBytes += size;
    if (this.#headBytes > this.#maxHeadBytes) throw malformed("the head is too large");
    if (found === -1) {
      // Its end would never come, and the call would wait for as long as the server keeps the connection.
      if (bareLineFeed.test(this.#heldEnd + text)) throw malformed("a line of the head ends in a line feed alone");
      this.#heldEnd = (this.#heldEnd + text.slice(-3)).slice(-3);
      this.#held += text;
      return end;
    }
    const whole = this.#held === "" ? text : this.#held + text.slice(0, size);
    const lines = whole.slice(0, this.#held.length + size - 2);
    this.#held = "";
    this.#heldEnd = "";
    this.#begin(this.#heads.read(lines));
    return at + size;
  }

  #begin(head: AnswerHead): void {
    if (head.status === 101) throw malformed("the server changes the protocol");
    // It is no answer; the real one follows.
    if (head.status < 200) return;
    this.#head = head;
    const length = bodyLength(head, this.#method);
    this.#length = length;
    if (length === "chunked") this.#chunks = new ChunkedBody();
    else if (length !== "until-close") this.#left = length;
    this.#isDone = length === 0;
    this.#listener?.head(head);
  }

  #takeBytes(bytes: Buffer, at: number, end: number): number {
    const isBounded = this.#length !== "until-close";
    const size = isBounded ? Math.min(this.#left, end - at) : end - at;
    const piece = Buffer.allocUnsafe(size);
    bytes.copy(piece, 0, at, at + size);
    if (isBounded) this.#left -= size;
    this.#isDone = isBounded && this.#left === 0;
    this.#listener?.data(piece);
    return at + size;
  }

  #takeChunks(chunks: ChunkedBody, bytes: Buffer, at: number, end: number): number {
    const into = Buffer.allocUnsafe(end - at);
    const taken = chunks.take(bytes, at, end, into);
    this.#isDone = chunks.isDone;
    if (taken.length > 0) this.#listener?.data(taken.length === into.length ? into : into.subarray(0, taken.length));
    return taken.at;
  }
}
