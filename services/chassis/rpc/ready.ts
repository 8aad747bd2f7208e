/**
 * A stream that can say what is there already. A whole answer is several messages that exist at the same moment: handing
 * them over without a promise for each is a good part of what a local call costs.
 */
export interface ReadyIterator<T> extends AsyncIterableIterator<T, undefined> {
  /**
   * The next step, if it need not be waited for; else undefined, as for a failure, which `next()` tells. Never to be called
   * while a `next()` is under way.
   */
  ready(): IteratorResult<T, undefined> | undefined;
}

/** The next step of any stream: at once where it is there, else when it comes. */
export function nextStep<T>(stream: AsyncIterator<T>): IteratorResult<T> | Promise<IteratorResult<T>> {
  return readyStep(stream) ?? stream.next();
}

/** What `ready()` says; undefined for a stream without one. */
export function readyStep<T>(stream: AsyncIterator<T>): IteratorResult<T> | undefined {
  return isReadyIterator(stream) ? stream.ready() : undefined;
}

function isReadyIterator<T>(stream: AsyncIterator<T>): stream is ReadyIterator<T> {
  return "ready" in stream && typeof stream.ready === "function";
}
