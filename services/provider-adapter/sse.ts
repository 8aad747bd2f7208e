/** A server sent a stream that is no event stream within the limits. */
export class SseProblem extends Error {
  override readonly name = "SseProblem";
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const colon = 0x3a;
const space = 0x20;

/** A byte order mark. It may stand before the first line, and says nothing. */
const mark = [0xef, 0xbb, 0xbf];

/** The largest event that is accepted by default. */
export const defaultMaxEventBytes = 32 * 1024 * 1024;

/**
 * Cuts a byte stream into server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html. An event is
 * returned with its lines as they came and with the blank line that closes it; lines end with LF, CRLF or CR. Where an event
 * lies within one chunk it is a view of it, not a copy. Blank lines between events and blocks of nothing but comments
 * (keep-alives) are dropped: they must not count as the first payload of an answer. The events do not depend on how the
 * stream was cut into chunks; the exception is a stream with CR line ends, whose event is seen when the next byte comes.
 */
export class SseSplitter {
  readonly #maxEventBytes: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Nothing has ended yet: a byte order mark may stand here. */
  #first = true;
  /** At the first byte of a line. */
  #lineStart = true;
  /** The last byte was a CR that ended a line: a LF now belongs to it. */
  #afterReturn = false;
  /** The last byte was a CR that closed an event: a LF now belongs to it. */
  #closing = false;

  constructor(maxEventBytes: number = defaultMaxEventBytes) {
    this.#maxEventBytes = maxEventBytes;
  }

  /** Takes the next chunk and returns the events that are whole now. Throws SseProblem where an event is too large. */
  push(chunk: Uint8Array): Uint8Array[] {
    const events: Uint8Array[] = [];
    const plain = !this.#afterReturn && !this.#closing && chunk.indexOf(carriageReturn) === -1;
    const rest = plain ? this.#cutPlain(chunk, events) : this.#cutAny(chunk, events);
    if (rest < chunk.length) this.#hold(rest === 0 ? chunk : chunk.subarray(rest));
    return events;
  }

  /** The stream is over: returns what came after the last blank line, with one added, if there is anything. */
  end(): Uint8Array | undefined {
    const rest = this.#unmarked(Buffer.concat(this.#held));
    this.#held = [];
    this.#heldBytes = 0;
    if (this.#closing) return isComment(rest) ? undefined : rest;
    const event = Buffer.concat([rest, Buffer.from(this.#lineStart ? "\n" : "\n\n")]);
    return rest.length === 0 || isComment(event) ? undefined : event;
  }

  /** Line ends are LF: native search from one to the next. Returns where the unfinished event begins. */
  #cutPlain(chunk: Uint8Array, events: Uint8Array[]): number {
    let start = 0;
    let at = 0;
    let found = chunk.indexOf(lineFeed, at);
    while (found !== -1) {
      const blank = found === at && this.#lineStart;
      at = found + 1;
      if (blank) {
        this.#emit(chunk, start, at, events);
        start = at;
      }
      this.#lineStart = true;
      found = chunk.indexOf(lineFeed, at);
    }
    if (at < chunk.length) this.#lineStart = false;
    return start;
  }

  /** Any mixture of line ends, byte by byte. */
  #cutAny(chunk: Uint8Array, events: Uint8Array[]): number {
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.#closing) {
        const end = byte === lineFeed ? at + 1 : at;
        this.#closing = false;
        this.#emit(chunk, start, end, events);
        start = end;
        this.#lineStart = true;
        if (byte === lineFeed) continue;
      }
      if (byte === lineFeed && this.#afterReturn) {
        this.#afterReturn = false;
      } else if (byte === lineFeed) {
        if (this.#lineStart) {
          this.#emit(chunk, start, at + 1, events);
          start = at + 1;
        }
        this.#lineStart = true;
      } else if (byte === carriageReturn) {
        this.#closing = this.#lineStart;
        this.#afterReturn = !this.#closing;
        this.#lineStart = true;
      } else {
        this.#lineStart = false;
        this.#afterReturn = false;
      }
    }
    return start;
  }

  #emit(chunk: Uint8Array, start: number, end: number, events: Uint8Array[]): void {
    let event = chunk.subarray(start, end);
    if (this.#heldBytes > 0) {
      event = Buffer.concat([...this.#held, event]);
      this.#held = [];
      this.#heldBytes = 0;
    }
    if (event.length > this.#maxEventBytes) throw this.#tooLarge();
    if (this.#first) event = this.#unmarked(event);
    if (!isComment(event)) events.push(event);
  }

  #unmarked(event: Uint8Array): Uint8Array {
    const marked = this.#first && mark.every((byte, at) => event[at] === byte);
    this.#first = false;
    return marked ? event.subarray(mark.length) : event;
  }

  #hold(bytes: Uint8Array): void {
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > this.#maxEventBytes) throw this.#tooLarge();
    this.#held.push(bytes);
  }

  #tooLarge(): SseProblem {
    return new SseProblem(`an event is larger than ${this.#maxEventBytes} bytes`);
  }
}

/** Whether a block consists of comments and blank lines only. */
function isComment(event: Uint8Array): boolean {
  const first = event[0];
  if (first !== colon && first !== lineFeed && first !== carriageReturn) return false;
  return linesOf(event).every((line) => line.length === 0 || line[0] === colon);
}

function linesOf(event: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let at = 0; at < event.length; at += 1) {
    const byte = event[at];
    if (byte !== lineFeed && byte !== carriageReturn) continue;
    lines.push(event.subarray(start, at));
    if (byte === carriageReturn && event[at + 1] === lineFeed) at += 1;
    start = at + 1;
  }
  if (start < event.length) lines.push(event.subarray(start));
  return lines;
}

/** The values of a field, one per line that names it. */
function fieldsOf(event: Uint8Array, name: string): Uint8Array[] {
  return linesOf(event).flatMap((line) => {
    const text = Buffer.from(line.buffer, line.byteOffset, Math.min(line.length, name.length + 1)).toString("latin1");
    if (text === name) return [new Uint8Array()];
    if (text !== `${name}:`) return [];
    return [line.subarray(line[name.length + 1] === space ? name.length + 2 : name.length + 1)];
  });
}

/** The name of a whole event, `message` where it has none. */
export function eventName(event: Uint8Array): string {
  const name = fieldsOf(event, "event").at(-1);
  return name === undefined || name.length === 0 ? "message" : Buffer.from(name).toString();
}
