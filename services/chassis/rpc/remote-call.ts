import type { IncomingHttpHeaders } from "node:http";
import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import { codeFromHttpStatus, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { type Dispatcher, errors, type Pool } from "undici";
import { abortError, canceledError, deadlineError } from "./call-errors.ts";
import type { Channel } from "./channel.ts";
import { timeoutHeader } from "./connect-wire.ts";
import type { Endpoint } from "./endpoint.ts";

/** The longest delay that Node's timers keep. A longer deadline is none. */
const longestTimerMs = 2 ** 31 - 1;
/** An answer that is no RPC answer (a proxy's error page, say) is read up to here. */
const maxErrorBodyBytes = 1024 * 1024;
/**
 * With `connection: close`: the server stops and has not read the request, https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9.
 * No RPC answers with it.
 */
const unreadStatus = 408;

export interface RemoteCallInit {
  readonly channel: Channel;
  readonly method: DescMethod;
  readonly path: string;
  readonly contentType: string;
  readonly body: Buffer;
  readonly options: CallOptions | undefined;
}

/**
 * One call on its way through a channel: undici's handler of its request. It goes to a second endpoint, once, when the
 * first could not be reached, so that nothing was sent, or stops and has not read it; a method without side effects also
 * when the connection was cut before an answer came.
 */
export abstract class RemoteCall implements Dispatcher.DispatchHandler {
  protected readonly init: RemoteCallInit;
  protected controller: Dispatcher.DispatchController | undefined;
  protected settled = false;
  #endpoint: Endpoint | undefined;
  #pool: Pool | undefined;
  #sent = false;
  #answered = false;
  #unread = false;
  #retried = false;
  #timer: NodeJS.Timeout | undefined;
  #failedStatus = 0;
  #failedHeaders: IncomingHttpHeaders = {};
  #failedBody: Buffer[] = [];
  #failedBytes = 0;

  constructor(init: RemoteCallInit) {
    this.init = init;
  }

  /** A successful answer begins. */
  protected abstract begin(headers: IncomingHttpHeaders): void;
  /** A piece of a successful answer. What it throws fails the call. */
  protected abstract take(chunk: Buffer): void;
  /** A successful answer is complete. What it throws fails the call. */
  protected abstract complete(): void;
  /** The call has failed; called once, and never after the call has settled. */
  protected abstract reject(error: ConnectError): void;

  /** Sends the request. */
  start(): void {
    const { timeoutMs, signal } = this.init.options ?? {};
    if (signal?.aborted) {
      this.fail(abortError(signal));
      return;
    }
    signal?.addEventListener("abort", this);
    if (timeoutMs !== undefined && timeoutMs > 0 && timeoutMs <= longestTimerMs) {
      this.#timer = setTimeout(() => this.fail(deadlineError()), timeoutMs);
    }
    this.#dispatch(undefined);
  }

  /** The abort listener of the caller's signal. */
  handleEvent(): void {
    const signal = this.init.options?.signal;
    if (signal !== undefined) this.fail(abortError(signal));
  }

  /** Nobody waits for the answer any more. */
  cancel(): void {
    if (!this.settled) this.fail(canceledError());
  }

  /** Ends the call with an error, and the exchange with it. */
  protected fail(error: ConnectError): void {
    if (this.settled) return;
    this.settle();
    this.reject(error);
    this.controller?.abort(error);
  }

  /** The outcome is known: frees the timer and the listener. */
  protected settle(): void {
    this.settled = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.init.options?.signal?.removeEventListener("abort", this);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#sent = true;
    this.controller = controller;
    if (this.settled) controller.abort(canceledError());
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.#answered = true;
    this.#endpoint?.succeeded();
    const closes = headers.connection === "close";
    if (closes && this.#pool !== undefined) this.#endpoint?.leave(this.#pool);
    this.#unread = closes && status === unreadStatus;
    if (status === 200 && headers["content-type"] === this.init.contentType) {
      this.#guard(() => this.begin(headers));
      return;
    }
    this.#failedStatus = status;
    this.#failedHeaders = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.settled) return;
    if (this.#failedStatus === 0) {
      try {
        this.take(chunk);
      } catch (error) {
        this.fail(ConnectError.from(error, Code.Internal));
      }
      return;
    }
    this.#failedBytes += chunk.length;
    if (this.#failedBytes > maxErrorBodyBytes) this.fail(this.#failedAnswer());
    else this.#failedBody.push(chunk);
  }

  onResponseEnd(): void {
    const endpoint = this.#endpoint;
    this.#release();
    if (this.settled) return;
    if (this.#unread && endpoint !== undefined) {
      this.#unread = false;
      this.#answered = false;
      this.#sent = false;
      this.#failedStatus = 0;
      this.#unreachable(endpoint, new Error("the service stops"));
      return;
    }
    if (this.#failedStatus !== 0) this.fail(this.#failedAnswer());
    else this.#guard(() => this.complete());
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const endpoint = this.#endpoint;
    this.#release();
    if (this.settled) return;
    this.controller = undefined;
    if (error instanceof errors.InvalidArgumentError) {
      this.fail(
        new ConnectError("the request has an invalid header", Code.InvalidArgument, undefined, undefined, error),
      );
      return;
    }
    this.#unreachable(endpoint, error);
  }

  #unreachable(endpoint: Endpoint | undefined, error: Error): void {
    if (endpoint !== undefined) this.init.channel.failed(endpoint, error);
    if (endpoint !== undefined && this.#mayMove(endpoint)) {
      this.#retried = true;
      this.#sent = false;
      this.#dispatch(endpoint);
      return;
    }
    this.fail(new ConnectError("the connection to the service failed", Code.Unavailable, undefined, undefined, error));
  }

  #mayMove(endpoint: Endpoint): boolean {
    const { channel, method } = this.init;
    const repeatable = method.idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN;
    return !this.#retried && !this.#answered && (!this.#sent || repeatable) && channel.hasOther(endpoint);
  }

  #dispatch(avoid: Endpoint | undefined): void {
    const { channel, path, body } = this.init;
    let headers: string[];
    try {
      headers = this.#headers();
      this.#endpoint = channel.acquire(avoid);
    } catch (error) {
      this.fail(ConnectError.from(error, Code.InvalidArgument));
      return;
    }
    const endpoint = this.#endpoint;
    if (endpoint === undefined) {
      channel.resolved().then(
        () => this.settled || this.#dispatch(avoid),
        (error: unknown) => this.fail(ConnectError.from(error)),
      );
      return;
    }
    headers.push("host", endpoint.host);
    this.#pool = endpoint.pool;
    this.#pool.dispatch({ path, method: "POST", headers, body }, this);
  }

  #headers(): string[] {
    const { channel, contentType, options } = this.init;
    const headers = ["content-type", contentType, "connect-protocol-version", "1"];
    if (channel.authorization !== undefined) headers.push("authorization", channel.authorization);
    const timeoutMs = options?.timeoutMs;
    if (timeoutMs !== undefined && timeoutMs > 0 && timeoutMs <= longestTimerMs) {
      headers.push(timeoutHeader, String(Math.ceil(timeoutMs)));
    }
    if (options?.headers !== undefined) {
      const metadata = new Headers();
      mergeNonProtocolHeaders(metadata, new Headers(options.headers));
      for (const [name, value] of metadata) headers.push(name, value);
    }
    return headers;
  }

  /** An answer that is no message: a Connect error as JSON, or anything that stands between us and the service. */
  #failedAnswer(): ConnectError {
    const status = this.#failedStatus;
    const metadata = headersOf(this.#failedHeaders);
    const type = this.#failedHeaders["content-type"] ?? "";
    const code = status === 200 ? Code.Internal : codeFromHttpStatus(status);
    const fallback = new ConnectError(status === 200 ? `unexpected content type ${type}` : `HTTP ${status}`, code);
    if (status === 200 || !type.startsWith("application/json")) return fallback;
    try {
      return errorFromJsonBytes(Buffer.concat(this.#failedBody), metadata, fallback);
    } catch {
      return fallback;
    }
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.fail(ConnectError.from(error, Code.Internal));
    }
  }

  #release(): void {
    if (this.#endpoint !== undefined) this.#endpoint.inFlight--;
    this.#endpoint = undefined;
  }
}

/** Undici's headers as the standard object. */
export function headersOf(headers: IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    for (const one of Array.isArray(value) ? value : [value ?? ""]) result.append(name, one);
  }
  return result;
}
