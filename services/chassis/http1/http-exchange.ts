import type { AnswerHeaders } from "./answer-head.ts";
import type { Connection } from "./connection.ts";

/** Who asked. None of these may throw. After `end` or `fail` nothing more comes, and nothing at all after `abort`. */
export interface ExchangeListener {
  head(status: number, headers: AnswerHeaders): void;
  /** A piece of the body, the listener's to keep. */
  data(piece: Buffer): void;
  end(): void;
  fail(error: Error): void;
}

/** One request and its answer, first in line for a connection and then on one. */
export class HttpExchange {
  readonly method: string;
  /** The head of the request, in Latin-1. */
  readonly requestHead: string;
  readonly body: Uint8Array | undefined;
  readonly listener: ExchangeListener;
  readonly #leave: (exchange: HttpExchange) => void;
  #connection: Connection | undefined;
  #isOver = false;

  /** `leave`: takes the exchange out of the line. */
  constructor(
    method: string,
    requestHead: string,
    body: Uint8Array | undefined,
    listener: ExchangeListener,
    leave: (exchange: HttpExchange) => void,
  ) {
    this.method = method;
    this.requestHead = requestHead;
    this.body = body;
    this.listener = listener;
    this.#leave = leave;
  }

  /** Nothing more is read. What was read already still comes. */
  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  /** Cuts the connection; the listener hears nothing more. */
  abort(): void {
    if (this.#isOver) return;
    const connection = this.#connection;
    this.settle();
    if (connection === undefined) this.#leave(this);
    else connection.abort();
  }

  /** It is on a connection now. For the client's own use, as is `settle`. */
  start(connection: Connection): void {
    this.#connection = connection;
  }

  /** The exchange is over. */
  settle(): void {
    this.#isOver = true;
    this.#connection = undefined;
  }
}
