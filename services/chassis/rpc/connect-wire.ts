import { create, type DescMessage, type Message, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { endStreamToJson, errorToJson } from "@connectrpc/connect/protocol-connect";
import { writeMessage } from "../wire/message-writer.ts";
import type { WireWriter } from "../wire/wire-writer.ts";

/** The Connect protocol's words, https://connectrpc.com/docs/protocol */
export const contentTypes = { unary: "application/proto", stream: "application/connect+proto" } as const;
export const timeoutHeader = "connect-timeout-ms";

/** Bytes before each message of a stream: one of flags, four of length. */
export const envelopePrefixBytes = 5;
export const compressedFlag = 1;
export const endStreamFlag = 2;

/** The largest message that a client or a server takes, where nobody says otherwise. */
export const defaultMaxMessageBytes = 64 * 1024 * 1024;

function envelopePrefix(flags: number, length: number): Buffer {
  const prefix = Buffer.allocUnsafe(envelopePrefixBytes);
  prefix.writeUInt8(flags, 0);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

/** A message of a stream in its envelope. */
export function encodeEnvelope(to: WireWriter, schema: DescMessage, message: Message): Buffer {
  const mark = to.mark();
  try {
    to.skip(envelopePrefixBytes);
    writeMessage(to, schema, message);
  } catch (error) {
    to.rewind(mark);
    throw error;
  }
  const envelope = to.take();
  envelope.writeUInt8(0, 0);
  envelope.writeUInt32BE(envelope.length - envelopePrefixBytes, 1);
  return envelope;
}

/** The body of a failed unary call. */
export function errorBody(error: ConnectError): Buffer {
  return Buffer.from(JSON.stringify(errorToJson(packed(error), undefined)));
}

/** The closing envelope of a stream. */
export function endStreamEnvelope(trailer: Headers | undefined, error: ConnectError | undefined): Buffer {
  if (trailer === undefined && error === undefined) return endStreamPlain;
  const json = endStreamToJson(new Headers(trailer), error === undefined ? undefined : packed(error), undefined);
  const payload = Buffer.from(JSON.stringify(json));
  return Buffer.concat([envelopePrefix(endStreamFlag, payload.length), payload]);
}

const endStreamPlain: Buffer = Buffer.concat([envelopePrefix(endStreamFlag, 2), Buffer.from("{}")]);

/** With details as bytes: the library would otherwise send every detail a second time, as JSON for debugging. */
function packed(error: ConnectError): ConnectError {
  const copy = new ConnectError(error.rawMessage, error.code, error.isWireError ? undefined : error.metadata);
  copy.details = error.details.map((detail) =>
    "desc" in detail
      ? { type: detail.desc.typeName, value: toBinary(detail.desc, create(detail.desc, detail.value)) }
      : { type: detail.type, value: detail.value },
  );
  return copy;
}

export function tooLargeError(limit: number): ConnectError {
  return new ConnectError(`the message is larger than ${limit} bytes`, Code.ResourceExhausted);
}

/** Cuts the bytes of a stream into envelopes, however the network has cut them. */
export class EnvelopeReader {
  readonly #maxMessageBytes: number;
  readonly #take: (flags: number, payload: Buffer) => void;
  #parts: Buffer[] = [];
  #size = 0;
  #needed = 0;

  constructor(maxMessageBytes: number, take: (flags: number, payload: Buffer) => void) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#take = take;
  }

  /** Whether it stands between two envelopes. */
  get empty(): boolean {
    return this.#size === 0;
  }

  /** Takes the next bytes; every envelope they complete is taken before it returns. Throws on one that is too large. */
  feed(chunk: Buffer): void {
    let buffer = chunk;
    if (this.#size > 0) {
      this.#parts.push(chunk);
      this.#size += chunk.length;
      if (this.#size < this.#needed) return;
      buffer = Buffer.concat(this.#parts, this.#size);
      this.#parts = [];
      this.#size = 0;
    }
    let at = 0;
    while (buffer.length - at >= envelopePrefixBytes) {
      const length = buffer.readUInt32BE(at + 1);
      if (length > this.#maxMessageBytes) throw tooLargeError(this.#maxMessageBytes);
      const end = at + envelopePrefixBytes + length;
      if (end > buffer.length) break;
      this.#take(buffer.readUInt8(at), buffer.subarray(at + envelopePrefixBytes, end));
      at = end;
    }
    this.#keep(buffer.subarray(at));
  }

  #keep(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#parts.push(rest);
    this.#size = rest.length;
    this.#needed = envelopePrefixBytes + (rest.length < envelopePrefixBytes ? 0 : rest.readUInt32BE(1));
  }
}
