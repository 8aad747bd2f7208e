import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type ConnectError, type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { abortError, canceledError, deadlineError } from "./call-errors.ts";

/** The longest delay that Node's timers keep. A longer deadline is none. */
const longestTimerMs = 2 ** 31 - 1;

export interface HandlerCallInit {
  readonly method: DescMethod;
  /** Milliseconds from now; absent, zero or negative means no deadline, as in Connect's call options. */
  readonly timeoutMs: number | undefined;
  /** Cancels the call. */
  readonly signal: AbortSignal | undefined;
  /** Makes the request's headers, on first use. */
  readonly headers: () => Headers;
  readonly values: ContextValues | undefined;
}

/**
 * One running call as its implementation sees it, with deadline and cancellation. What most handlers never touch
 * (signal, headers, values) is made on first use: making them costs more than the call itself.
 */
export class HandlerCall implements HandlerContext {
  readonly method: DescMethod;
  readonly requestMethod = "POST";
  readonly protocolName = "connect";
  /** Called once when the call is canceled or its deadline passes before it ended. */
  onFailure: ((error: ConnectError) => void) | undefined;
  readonly #init: HandlerCallInit;
  readonly #deadline: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #failure: ConnectError | undefined;
  #ended = false;
  #values: ContextValues | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(init: HandlerCallInit) {
    this.#init = init;
    this.method = init.method;
    const { timeoutMs, signal } = init;
    if (timeoutMs !== undefined && timeoutMs > 0 && timeoutMs <= longestTimerMs) {
      this.#deadline = performance.now() + timeoutMs;
      this.#timer = setTimeout(expire, timeoutMs, this);
    }
    if (signal?.aborted) this.fail(abortError(signal));
    else signal?.addEventListener("abort", this);
  }

  get service(): DescService {
    return this.method.parent;
  }

  get url(): string {
    return `/${this.service.typeName}/${this.method.name}`;
  }

  /** Aborts when the call is canceled and when its deadline passes; not when it ends, which would cost every call. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#failure !== undefined) this.#controller.abort(this.#failure);
    }
    return this.#controller.signal;
  }

  get values(): ContextValues {
    this.#values ??= this.#init.values ?? createContextValues();
    return this.#values;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= this.#init.headers();
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  /** The response headers and trailers that the implementation has set, if it touched them. */
  get metadata(): { readonly header: Headers | undefined; readonly trailer: Headers | undefined } {
    return { header: this.#responseHeader, trailer: this.#responseTrailer };
  }

  /** Why the call failed from outside: canceled, or past its deadline. */
  get failure(): ConnectError | undefined {
    return this.#failure;
  }

  /** Milliseconds left. At least 1 while there is a deadline, because 0 would mean none to whoever gets it next. */
  timeoutMs(): number | undefined {
    return this.#deadline === undefined ? undefined : Math.max(1, this.#deadline - performance.now());
  }

  /** The abort listener of the caller's signal. */
  handleEvent(): void {
    const { signal } = this.#init;
    if (signal !== undefined && !this.#ended) this.fail(abortError(signal));
  }

  /** Nobody waits for the answer any more. */
  cancel(): void {
    if (!this.#ended) this.fail(canceledError());
  }

  /** Stops the call from outside. Without effect on one that has ended. */
  fail(error: ConnectError): void {
    if (this.#ended) return;
    this.#failure = error;
    this.end();
    this.onFailure?.(error);
  }

  /** The call is over: its timer and listener are freed. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#init.signal?.removeEventListener("abort", this);
    if (this.#failure !== undefined) this.#controller?.abort(this.#failure);
  }
}

function expire(call: HandlerCall): void {
  call.fail(deadlineError());
}
