import { defaultMaxEventBytes, SseProblem } from "./sse.ts";

const lineFeed = 0x0a;

/**
 * Cuts a byte stream into lines, each a JSON value: https://github.com/ndjson/ndjson-spec. A line is returned without its
 * line feed; empty ones are dropped. The lines do not depend on how the stream was cut into chunks.
 */
export class NdjsonSplitter {
  readonly #maxLineBytes: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(maxLineBytes: number = defaultMaxEventBytes) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Takes the next chunk and returns the lines that are whole now. Throws SseProblem where a line is too large. */
  push(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      this.#add(chunk.subarray(start, end), lines);
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
    return lines;
  }

  /** The stream is over: what came after the last line feed, if there is anything. */
  end(): Uint8Array | undefined {
    const lines: Uint8Array[] = [];
    this.#add(new Uint8Array(), lines);
    return lines[0];
  }

  #add(piece: Uint8Array, lines: Uint8Array[]): void {
    this.#hold(piece);
    const line = this.#held.length === 1 ? piece : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    if (!line.every(isBlank)) lines.push(line);
  }

  #hold(piece: Uint8Array): void {
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes > this.#maxLineBytes) throw new SseProblem("a line of the stream is too large");
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}
