/**
 * Ends one call's upstream request, once. What a signal does for anything, at a fraction of its price; where something needs
 * a signal all the same, `signal` makes it.
 */
export class Cancellation {
  readonly #context: { readonly signal: AbortSignal };
  #aborted = false;
  #reason: unknown;
  #action: (() => void) | undefined;

  /** `context`: the call's own, whose signal is made when it is first read. */
  constructor(context: { readonly signal: AbortSignal }) {
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** What is to happen when the call is cancelled; the last one given counts. */
  onAbort(action: (() => void) | undefined): void {
    this.#action = action;
  }

  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#action?.();
  }
}

/** The cancellation of a call whose code has to watch its signal by itself. */
export function cancellationOf(signal: AbortSignal): Cancellation {
  const cancellation = new Cancellation({ signal });
  const abort = () => cancellation.abort(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return cancellation;
}
