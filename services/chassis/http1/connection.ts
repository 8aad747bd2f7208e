import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Slotted } from "../slots.ts";
import type { AnswerHead, HeadReader } from "./answer-head.ts";
import { type AnswerListener, AnswerParser } from "./answer-parser.ts";
import { HttpError } from "./http-error.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { type HttpProxy, proxyError } from "./http-proxy.ts";
import { connectError, openSocket, type SocketOptions } from "./open-socket.ts";
import { openTunnel } from "./open-tunnel.ts";

/** Ticks of the client's timer that make up each of the times; Infinity for none. */
export interface TimeLimits {
  readonly connect: number;
  readonly head: number;
  readonly body: number;
  readonly idle: number;
}

/** What the connections of a client have in common. */
export interface ConnectionContext {
  /** The time, in ticks. */
  readonly clock: { readonly tick: number; readonly tickMs: number };
  readonly limits: TimeLimits;
  readonly heads: HeadReader;
  readonly maxHeadBytes: number;
}

/** Who has a connection, and hears what becomes of it. */
export interface ConnectionOwner {
  opened(connection: Connection): void;
  /** Its exchange is over, and it can be used again. */
  freed(connection: Connection): void;
  /** It is closed. `error`: why it could not be opened. */
  lost(connection: Connection, error: Error | undefined): void;
  /** The server has sent a TLS session. */
  session(session: Buffer): void;
}

/** Where a connection goes, and how. */
export interface ConnectionTarget extends Omit<SocketOptions, "reader"> {
  readonly proxy: HttpProxy | undefined;
}

/** A read; TLS has at most as much in a record. */
const readBytes = 16 * 1024;
/** Up to here a body is copied behind its head, so that both leave in one piece. */
const joinedBytes = 16 * 1024;
/** A connection is closed this much before its server said it would, for what is on its way by then. */
const hintMarginMs = 1000;

/** One connection: one exchange at a time. */
export class Connection implements AnswerListener, Slotted {
  slot = -1;
  readonly #context: ConnectionContext;
  readonly #owner: ConnectionOwner;
  #socket: Socket | TLSSocket;
  readonly #buffer = Buffer.allocUnsafeSlow(readBytes);
  readonly #parser: AnswerParser;
  #state: "opening" | "idle" | "busy" | "closed" = "opening";
  #exchange: HttpExchange | undefined;
  #error: Error | undefined;
  /** When something last happened. */
  #since: number;
  /** For how many ticks it may be idle. */
  #idleTicks: number;
  #isPaused = false;
  #isReferenced = true;

  constructor(context: ConnectionContext, owner: ConnectionOwner, target: ConnectionTarget) {
    this.#context = context;
    this.#owner = owner;
    this.#parser = new AnswerParser(context.heads, context.maxHeadBytes);
    this.#since = context.clock.tick;
    this.#idleTicks = context.limits.idle;
    this.#socket = this.#open(target);
  }

  /** Whether it waits for its next exchange. */
  get isIdle(): boolean {
    return this.#state === "idle";
  }

  get isOpening(): boolean {
    return this.#state === "opening";
  }

  /**
   * Whether all of the last request has left. It is looked at when the connection has rested: an answer may be read before
   * the system says that what was written is.
   */
  get hasSent(): boolean {
    return this.#socket.writableLength === 0;
  }

  /** Sends a request on an idle connection. */
  send(exchange: HttpExchange): void {
    this.#state = "busy";
    this.#exchange = exchange;
    this.#since = this.#context.clock.tick;
    if (!this.#isReferenced) {
      this.#isReferenced = true;
      this.#socket.ref();
    }
    exchange.start(this);
    this.#parser.begin(exchange.method, this);
    const { requestHead, body } = exchange;
    if (body === undefined || body.length === 0) {
      this.#socket.write(requestHead, "latin1");
    } else if (body.length <= joinedBytes) {
      const whole = Buffer.allocUnsafe(requestHead.length + body.length);
      whole.write(requestHead, 0, requestHead.length, "latin1");
      whole.set(body, requestHead.length);
      this.#socket.write(whole);
    } else {
      this.#socket.cork();
      this.#socket.write(requestHead, "latin1");
      this.#socket.write(body);
      this.#socket.uncork();
    }
  }

  pause(): void {
    if (this.#isPaused || this.#state !== "busy") return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#since = this.#context.clock.tick;
    this.#socket.resume();
  }

  /** Cuts the connection without a word to its exchange. */
  abort(): void {
    this.#exchange = undefined;
    this.#close(undefined);
  }

  /** Closes it, which is idle or not even open yet. */
  close(): void {
    this.#close(undefined);
  }

  /** Time has passed. */
  onTick(): void {
    const { clock, limits } = this.#context;
    const silent = clock.tick - this.#since;
    if (this.#state === "opening") {
      if (silent > limits.connect) this.#fail(new HttpError("HTTP_CONNECT_TIMEOUT", "no connection in time"));
    } else if (this.#state === "idle") {
      if (silent >= this.#idleTicks) this.#close(undefined);
      else this.#unreference();
    } else if (!this.#isPaused) {
      if (!this.#parser.hasHead) {
        if (silent > limits.head) this.#fail(new HttpError("HTTP_HEAD_TIMEOUT", "no answer in time"));
      } else if (silent > limits.body) {
        this.#fail(new HttpError("HTTP_BODY_TIMEOUT", "the answer has not gone on in time"));
      }
    }
  }

  /** The parser's to call, as is `data`. */
  head({ status, headers }: AnswerHead): void {
    this.#exchange?.listener.head(status, headers);
  }

  data(piece: Buffer): void {
    this.#exchange?.listener.data(piece);
  }

  #open(target: ConnectionTarget): Socket | TLSSocket {
    const { origin, proxy } = target;
    const options = { ...target, reader: { buffer: this.#buffer, onBytes: (length: number) => this.#read(length) } };
    if (proxy === undefined) return this.#watch(openSocket(options), origin.isSecure);
    if (!origin.isSecure) {
      return this.#watch(openSocket({ ...options, origin: proxy.origin }), proxy.origin.isSecure, proxyError);
    }
    return openTunnel({ ...options, proxy, heads: this.#context.heads }, (outcome) => {
      if (outcome instanceof Error) this.#fail(outcome);
      else this.#socket = this.#watch(outcome, true);
    });
  }

  /** `describe`: says of what goes wrong before the connection is there who is at fault. */
  #watch(socket: Socket | TLSSocket, isSecure: boolean, describe = connectError): Socket | TLSSocket {
    return socket
      .once(isSecure ? "secureConnect" : "connect", () => this.#opened())
      .on("session", (session: Buffer) => this.#owner.session(session))
      .on("end", () => this.#ended())
      .on("error", (error) => {
        this.#error ??= this.#state === "opening" ? describe(error) : error;
      })
      .on("close", () => this.#fail(this.#error ?? cut()));
  }

  #opened(): void {
    if (this.#state !== "opening") return;
    this.#state = "idle";
    this.#since = this.#context.clock.tick;
    this.#owner.opened(this);
  }

  #read(length: number): void {
    if (this.#state !== "busy") {
      // Nothing was asked: whatever it is, the next answer must not be taken for it.
      this.#fail(cut());
      return;
    }
    this.#since = this.#context.clock.tick;
    let taken = 0;
    try {
      taken = this.#parser.take(this.#buffer, length);
    } catch (error) {
      this.#fail(error instanceof Error ? error : cut());
    }
    // It may have been cancelled on the way.
    if (this.#exchange !== undefined && this.#parser.isDone) this.#complete(taken === length);
  }

  /** `isClean`: nothing came behind the answer. */
  #complete(isClean: boolean): void {
    const exchange = this.#exchange;
    const isReusable = isClean && this.#parser.staysOpen && this.#keepsFor();
    this.#exchange = undefined;
    this.#parser.forget();
    exchange?.settle();
    if (isReusable) {
      this.resume();
      this.#state = "idle";
      this.#owner.freed(this);
    } else {
      this.#close(undefined);
    }
    exchange?.listener.end();
  }

  /** Notes for how long the server keeps the connection; whether that is worth it. */
  #keepsFor(): boolean {
    const { clock, limits } = this.#context;
    const hint = this.#parser.keepAliveMs;
    if (hint !== undefined) this.#idleTicks = Math.min(limits.idle, Math.floor((hint - hintMarginMs) / clock.tickMs));
    return this.#idleTicks > 0;
  }

  #ended(): void {
    if (this.#state === "busy" && this.#parser.finish()) this.#complete(false);
    else if (this.#state !== "opening") this.#fail(cut());
  }

  #fail(error: Error): void {
    if (this.#state === "closed") return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.settle();
    this.#close(this.#state === "opening" ? error : undefined);
    exchange?.listener.fail(error);
  }

  #close(error: Error | undefined): void {
    if (this.#state === "closed") return;
    this.#owner.lost(this, error);
    this.#state = "closed";
    this.#parser.forget();
    this.#socket.destroy();
  }

  /** An idle connection keeps no process alive. */
  #unreference(): void {
    if (!this.#isReferenced) return;
    this.#isReferenced = false;
    this.#socket.unref();
  }
}

function cut(): HttpError {
  return new HttpError("HTTP_CUT", "the connection ended before the answer");
}
