import { crc32 } from "node:zlib";

/** A server sent bytes that are no event stream of AWS' kind, or one beyond the limits. */
export class EventStreamProblem extends Error {
  override readonly name = "EventStreamProblem";
}

/** Total length, headers' length, and the checksum of both. */
const preludeBytes = 12;
const checksumBytes = 4;
/** The least a message can be long: no headers, no payload. */
const minMessageBytes = preludeBytes + checksumBytes;
/** AWS' own limit for the headers of a message. */
const maxHeadersBytes = 128 * 1024;
/** The largest message that is accepted by default. AWS' own limit is 16 MiB for a payload. */
export const defaultMaxMessageBytes = 32 * 1024 * 1024;

/**
 * Cuts a byte stream into the messages of `application/vnd.amazon.eventstream`,
 * https://smithy.io/2.0/aws/amazon-eventstream.html. A message is returned whole, prelude and checksums included, both
 * checksums verified. Lengths are verified before anything is held for them. Where a message lies within one chunk it is a
 * view of it, not a copy.
 */
export class AwsEventStreamSplitter {
  readonly #maxMessageBytes: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Length of the message that is being held; 0 while its prelude is not complete. */
  #wanted = 0;

  constructor(maxMessageBytes: number = defaultMaxMessageBytes) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Takes the next chunk and returns the messages that are whole now. Throws EventStreamProblem where one is broken. */
  push(chunk: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#heldBytes > 0) rest = this.#fill(rest, messages);
      else rest = this.#cut(rest, messages);
    }
    return messages;
  }

  /** The stream is over. Throws EventStreamProblem where that is in the middle of a message. */
  end(): undefined {
    if (this.#heldBytes > 0) throw new EventStreamProblem("the event stream ended in the middle of a message");
  }

  /** Nothing is held: takes a message right from the chunk. Returns what follows it. */
  #cut(chunk: Uint8Array, messages: Uint8Array[]): Uint8Array {
    const length = chunk.length < preludeBytes ? Number.POSITIVE_INFINITY : this.#readPrelude(chunk);
    if (chunk.length < length) {
      this.#hold(chunk);
      this.#wanted = Number.isFinite(length) ? length : 0;
      return chunk.subarray(chunk.length);
    }
    messages.push(verified(chunk.subarray(0, length)));
    return chunk.subarray(length);
  }

  /** Adds to what is held as much as its prelude, then its message, wants. Returns what follows. */
  #fill(chunk: Uint8Array, messages: Uint8Array[]): Uint8Array {
    const missing = (this.#wanted || preludeBytes) - this.#heldBytes;
    const taken = Math.min(missing, chunk.length);
    this.#hold(chunk.subarray(0, taken));
    if (taken === missing) {
      if (this.#wanted === 0) this.#wanted = this.#readPrelude(Buffer.concat(this.#held));
      else {
        messages.push(verified(Buffer.concat(this.#held)));
        this.#clear();
      }
    }
    return chunk.subarray(taken);
  }

  /** The length of the message that begins here. */
  #readPrelude(bytes: Uint8Array): number {
    const total = uint32(bytes, 0);
    const headers = uint32(bytes, 4);
    if (crc32(bytes.subarray(0, 8)) !== uint32(bytes, 8)) {
      throw new EventStreamProblem("the event stream is damaged: the checksum of a prelude is wrong");
    }
    if (total > this.#maxMessageBytes) {
      throw new EventStreamProblem(`a message of the event stream is larger than ${this.#maxMessageBytes} bytes`);
    }
    if (total < minMessageBytes || headers > total - minMessageBytes || headers > maxHeadersBytes) {
      throw new EventStreamProblem("the event stream is damaged: the lengths in a prelude are impossible");
    }
    return total;
  }

  #hold(bytes: Uint8Array): void {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #clear(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#wanted = 0;
  }
}

function verified(message: Uint8Array): Uint8Array {
  const end = message.length - checksumBytes;
  if (crc32(message.subarray(0, end)) !== uint32(message, end)) {
    throw new EventStreamProblem("the event stream is damaged: the checksum of a message is wrong");
  }
  return message;
}

/** What a whole message holds. */
export interface EventStreamMessage {
  /** The headers whose values are texts (`:message-type`, `:event-type`, …); the others have no meaning here. */
  readonly headers: ReadonlyMap<string, string>;
  readonly payload: Uint8Array;
}

/** Bytes of a header's value by its type, where they are fixed: true, false, byte, short, int, long; time, UUID. */
const fixedBytes: Readonly<Record<number, number>> = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16 };
const bytesType = 6;
const textType = 7;

/** Takes a message of the splitter apart. Throws EventStreamProblem where its headers are broken. */
export function readEventStreamMessage(message: Uint8Array): EventStreamMessage {
  const headersEnd = preludeBytes + uint32(message, 4);
  const headers = new Map<string, string>();
  const text = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  for (let at = preludeBytes; at < headersEnd; ) {
    const nameEnd = at + 1 + (text[at] ?? 0);
    const type = text[nameEnd] ?? -1;
    const sized = type === bytesType || type === textType;
    const size = sized && nameEnd + 3 <= headersEnd ? text.readUInt16BE(nameEnd + 1) : fixedBytes[type];
    const start = nameEnd + (sized ? 3 : 1);
    if (size === undefined || start + size > headersEnd) {
      throw new EventStreamProblem("the event stream is damaged: a header of a message is malformed");
    }
    if (type === textType)
      headers.set(text.toString("utf8", at + 1, nameEnd), text.toString("utf8", start, start + size));
    at = start + size;
  }
  return { headers, payload: message.subarray(headersEnd, message.length - checksumBytes) };
}

function uint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at);
}
