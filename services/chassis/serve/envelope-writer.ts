import type { ServerResponse } from "node:http";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { contentTypes, encodeEnvelope } from "../rpc/connect-wire.ts";
import { joined, type WireWriter } from "../wire/wire-writer.ts";
import { stayOpenUnsaid } from "./http1-request.ts";

/** Bytes that are written at once rather than at the end of the tick. */
const flushAtBytes = 64 * 1024;

/**
 * Writes the messages of a stream to an HTTP/1.1 response. Messages that are ready in the same tick leave in one
 * write, when the tick's work is done: batching adds no delay, because nothing could have left the process earlier.
 */
export class EnvelopeWriter {
  readonly #response: ServerResponse;
  readonly #wire: WireWriter;
  readonly #header: () => Headers | undefined;
  #envelopes: Buffer[] = [];
  #size = 0;
  #scheduled = false;
  #draining: Promise<void> | undefined;

  /** `header` gives the headers that the implementation has set, when the head is written. */
  constructor(response: ServerResponse, wire: WireWriter, header: () => Headers | undefined) {
    this.#response = response;
    this.#wire = wire;
    this.#header = header;
  }

  /** Queues a message. Returns a promise where the reader is slow: wait for it before the next message. */
  write(schema: DescMessage, message: Message): Promise<void> | undefined {
    const envelope = encodeEnvelope(this.#wire, schema, message);
    this.#envelopes.push(envelope);
    this.#size += envelope.length;
    if (this.#size >= flushAtBytes) this.#flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(this.#flush);
    }
    return this.#draining;
  }

  /** Writes what is queued and the closing envelope, and ends the response. */
  end(endStream: Buffer): void {
    this.#wire.raw(endStream);
    this.#envelopes.push(this.#wire.take());
    const last = joined(this.#envelopes);
    this.#envelopes = [];
    if (!this.#response.headersSent) this.#writeHead({ "content-length": last.length });
    this.#response.end(last);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#envelopes.length === 0 || this.#response.destroyed) return;
    if (!this.#response.headersSent) this.#writeHead({});
    const bytes = joined(this.#envelopes);
    this.#envelopes = [];
    this.#size = 0;
    if (!this.#response.write(bytes)) this.#draining ??= this.#drained();
  };

  #writeHead(extra: Readonly<Record<string, number>>): void {
    for (const [name, value] of this.#header() ?? []) this.#response.appendHeader(name, value);
    stayOpenUnsaid(this.#response);
    this.#response.writeHead(200, { "content-type": contentTypes.stream, ...extra });
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#response.off("drain", settle).off("close", settle);
        this.#draining = undefined;
        resolve();
      };
      this.#response.on("drain", settle).on("close", settle);
    });
  }
}
