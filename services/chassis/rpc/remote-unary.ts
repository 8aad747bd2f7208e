import type { IncomingHttpHeaders } from "node:http";
import { fromBinary, type Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { trailerDemux } from "@connectrpc/connect/protocol-connect";
import { tooLargeError } from "./connect-wire.ts";
import { headersOf, RemoteCall, type RemoteCallInit } from "./remote-call.ts";

/** A unary call through a channel. */
export class RemoteUnary extends RemoteCall {
  readonly answer: Promise<Message>;
  #resolve: (message: Message) => void = ignore;
  #reject: (error: ConnectError) => void = ignore;
  #headers: IncomingHttpHeaders = {};
  readonly #chunks: Buffer[] = [];
  #size = 0;

  constructor(init: RemoteCallInit) {
    super(init);
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  protected begin(headers: IncomingHttpHeaders): void {
    this.#headers = headers;
  }

  protected take(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > this.init.channel.maxMessageBytes) throw tooLargeError(this.init.channel.maxMessageBytes);
    this.#chunks.push(chunk);
  }

  protected complete(): void {
    const { method, options } = this.init;
    const [only] = this.#chunks;
    const body = this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks, this.#size);
    const message = fromBinary(method.output, body);
    if (options?.onHeader !== undefined || options?.onTrailer !== undefined) {
      const [header, trailer] = trailerDemux(headersOf(this.#headers));
      options.onHeader?.(header);
      options.onTrailer?.(trailer);
    }
    this.settle();
    this.#resolve(message);
  }

  protected reject(error: ConnectError): void {
    this.#reject(error);
  }
}

function ignore(): void {}
