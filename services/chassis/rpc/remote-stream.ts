import type { IncomingHttpHeaders } from "node:http";
import { fromBinary, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { compressedFlag, EnvelopeReader, endStreamFlag } from "./connect-wire.ts";
import type { ReadyIterator } from "./ready.ts";
import { headersOf, RemoteCall, type RemoteCallInit } from "./remote-call.ts";

/** Messages held for a slow reader before the sender is stopped, and how few of them start it again. */
const pauseAt = 256;
const resumeAt = 64;
/** The same by size: a few large messages stop the sender too. */
const pauseAtBytes = 1024 * 1024;

const finished: IteratorResult<Message, undefined> = { done: true, value: undefined };

/** A server-streaming call through a channel. `return()` cancels it, which the server sees at once. */
export class RemoteStream extends RemoteCall implements ReadyIterator<Message> {
  readonly #reader: EnvelopeReader;
  #queue: Message[] = [];
  #head = 0;
  #queuedBytes = 0;
  #paused = false;
  #ended = false;
  #error: ConnectError | undefined;
  #pending: Promise<IteratorResult<Message, undefined>> | undefined;
  #resolve: ((result: IteratorResult<Message, undefined>) => void) | undefined;
  #reject: ((error: ConnectError) => void) | undefined;

  constructor(init: RemoteCallInit) {
    super(init);
    this.#reader = new EnvelopeReader(init.channel.maxMessageBytes, this.#envelope);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    if (this.#pending !== undefined) {
      const later = () => this.next();
      return this.#pending.then(later, later);
    }
    const ready = this.ready();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      this.#ended = true;
      return Promise.reject(error);
    }
    this.#pending = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    return this.#pending;
  }

  ready(): IteratorResult<Message, undefined> | undefined {
    const value = this.#queue[this.#head];
    if (value === undefined) return this.#ended && this.#error === undefined ? finished : undefined;
    this.#head++;
    if (this.#head === this.#queue.length) this.#drained();
    else if (this.#paused && this.#queue.length - this.#head <= resumeAt) this.#resume();
    return { done: false, value };
  }

  return(): Promise<IteratorResult<Message, undefined>> {
    this.cancel();
    this.#queue = [];
    this.#head = 0;
    this.#error = undefined;
    this.#ended = true;
    if (this.#paused) this.#resume();
    return Promise.resolve(finished);
  }

  protected begin(headers: IncomingHttpHeaders): void {
    this.init.options?.onHeader?.(headersOf(headers));
  }

  protected take(chunk: Buffer): void {
    this.#reader.feed(chunk);
    if (this.settled) return;
    if (this.#queue.length - this.#head >= pauseAt || this.#queuedBytes >= pauseAtBytes) {
      this.#paused = true;
      this.controller?.pause();
    }
  }

  protected complete(): void {
    throw new ConnectError("the stream has no end", Code.Internal);
  }

  protected reject(error: ConnectError): void {
    const reject = this.#reject;
    this.#settleWaiting();
    if (reject === undefined) {
      this.#error = error;
      return;
    }
    this.#ended = true;
    reject(error);
  }

  readonly #envelope = (flags: number, payload: Buffer): void => {
    if (this.settled) return;
    if ((flags & compressedFlag) !== 0) throw new ConnectError("unexpected compressed message", Code.Internal);
    if ((flags & endStreamFlag) !== 0) {
      this.#end(payload);
      return;
    }
    const value = fromBinary(this.init.method.output, payload);
    const resolve = this.#resolve;
    if (resolve === undefined) {
      this.#queue.push(value);
      this.#queuedBytes += payload.length;
      return;
    }
    this.#settleWaiting();
    resolve({ done: false, value });
  };

  #end(payload: Buffer): void {
    // Most streams end with `{}`. The library's parser makes an error object in advance, which costs more than the rest.
    const end = payload.length === 2 ? undefined : endStreamFromJson(payload);
    this.settle();
    if (end?.error !== undefined) {
      this.reject(end.error);
      return;
    }
    this.#ended = true;
    const resolve = this.#resolve;
    this.#settleWaiting();
    resolve?.(finished);
    this.init.options?.onTrailer?.(end?.metadata ?? new Headers());
  }

  #drained(): void {
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    if (this.#paused) this.#resume();
  }

  #resume(): void {
    this.#paused = false;
    this.#queuedBytes = 0;
    this.controller?.resume();
  }

  #settleWaiting(): void {
    this.#pending = undefined;
    this.#resolve = undefined;
    this.#reject = undefined;
  }
}
