import type { IncomingMessage, ServerResponse } from "node:http";
import type { Slotted } from "#chassis/slots.ts";
import { readCallId } from "./call-id.ts";
import { type Dialect, errorAnswer } from "./error-body.ts";
import type { EdgeEvents } from "./events.ts";

/** What holds for all calls of an edge. */
export interface CallFrame {
  readonly version: string;
  readonly events: EdgeEvents;
  /** Names and values, in turn, that let this origin's browser read the answer. */
  corsHeaders(origin: string | undefined): readonly string[];
  /** Whether connections are to be closed after their answer. */
  draining(): boolean;
}

/** A request body up to this size is read to its end even if nobody wants it, so that the connection can stay. */
const smallBodyBytes = 64 * 1024;
const maxDiscardMs = 2_000;
/** An answer up to this size is joined with its head. */
const joinedBodyBytes = 64 * 1024;

/** One HTTP request and the answer to it. */
export class HttpCall implements Slotted {
  slot = -1;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly query: string;
  /** When the request came, on the clock of `performance.now()`. */
  readonly startedAt = performance.now();
  /** What the path holds in place of its parameter; empty where the path has none. */
  pathParameter = "";
  /** The path as the route has it: few values, fit for a metric. */
  routeName = "unknown";
  dialect: Dialect = "openai";
  callId: string;
  status = 0;
  readonly #frame: CallFrame;
  #abort: AbortController | undefined;
  #whenGone: (() => void) | undefined;

  constructor(frame: CallFrame, request: IncomingMessage, response: ServerResponse) {
    this.#frame = frame;
    this.request = request;
    this.response = response;
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    this.path = mark === -1 ? url : url.slice(0, mark);
    this.query = mark === -1 ? "" : url.slice(mark + 1);
    this.callId = readCallId(request.headers);
  }

  /** Aborted at once when the client hangs up. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.gone) this.#abort.abort();
    return this.#abort.signal;
  }

  /** Whether nobody reads the answer any more. */
  get gone(): boolean {
    return this.response.destroyed || this.response.socket?.destroyed === true;
  }

  /** Has something done at once when the client hangs up: what a signal does, at a fraction of its price. Once a call. */
  onGone(action: () => void): void {
    this.#whenGone = action;
    if (this.gone) action();
  }

  /** Aborts what runs for this call. */
  abort(): void {
    this.#abort?.abort();
    this.#whenGone?.();
  }

  /** `close` closes the connection behind the answer; so does a process that drains. */
  writeHead(status: number, headers: readonly string[], close = false): void {
    const all = this.#ownHeaders();
    for (const each of headers) all.push(each);
    this.#writeHead(status, all, close);
  }

  /** Sends a whole answer. */
  send(status: number, contentType: string, body: string | Uint8Array, headers: readonly string[] = []): void {
    if (this.gone || this.response.headersSent) return;
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    const all = this.#ownHeaders();
    all.push("content-type", contentType, "content-length", String(length));
    for (const each of headers) all.push(each);
    if (this.#bodyIsSmall()) {
      this.#writeHead(status, all, false);
      this.#end(body);
      return;
    }
    this.#writeHead(status, all, true);
    this.response.write(body);
    this.#discardThenEnd();
  }

  sendJson(status: number, value: unknown, headers: readonly string[] = []): void {
    this.send(status, "application/json", JSON.stringify(value), headers);
  }

  /** Answers that it is done. */
  sendNothing(): void {
    if (this.gone || this.response.headersSent) return;
    this.writeHead(204, []);
    this.response.end();
  }

  /** Answers with an error, if there is still somebody to answer and nothing was sent. */
  sendError(error: unknown, headers: readonly string[] = []): void {
    const answer = errorAnswer(error, this.dialect, this.callId);
    const untold = answer.hidden || (error instanceof Error && error.cause !== undefined);
    if (untold && !this.gone) this.#frame.events.failedInside(this, error);
    this.send(answer.status, "application/json", answer.body, [...answer.headers, ...headers]);
  }

  /** What every answer says. */
  #ownHeaders(): string[] {
    const headers = ["x-litellm-call-id", this.callId, "x-litellm-version", this.#frame.version];
    for (const each of this.#frame.corsHeaders(this.request.headers.origin)) headers.push(each);
    return headers;
  }

  #writeHead(status: number, headers: string[], close: boolean): void {
    this.status = status;
    if (close || this.#frame.draining()) headers.push("connection", "close");
    this.response.writeHead(status, headers);
  }

  /**
   * Node joins the head with a text and not with bytes, and one piece is written faster than two. Latin-1 maps every
   * byte to one character and back.
   */
  #end(body: string | Uint8Array): void {
    if (typeof body === "string" || body.length > joinedBodyBytes) this.response.end(body);
    else this.response.end(asBuffer(body).toString("latin1"), "latin1");
  }

  #bodyIsSmall(): boolean {
    if (this.request.complete) return true;
    const length = this.request.headers["content-length"];
    if (length === undefined) return this.request.headers["transfer-encoding"] === undefined;
    return Number(length) <= smallBodyBytes;
  }

  /**
   * Ends a refused upload without cutting it at once: a client that is still sending would get a reset instead of the
   * answer.
   */
  #discardThenEnd(): void {
    const { request, response } = this;
    const end = () => {
      clearTimeout(timer);
      response.end();
    };
    const timer = setTimeout(end, maxDiscardMs);
    request.once("end", end).once("close", end).resume();
  }
}

/** The same bytes; what the network brings is a Buffer already. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
