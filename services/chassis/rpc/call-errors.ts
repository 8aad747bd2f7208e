import { Code, ConnectError } from "@connectrpc/connect";

/** The error of a call whose deadline has passed. */
export function deadlineError(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

/** The error of a call that nobody waits for any more. */
export function canceledError(): ConnectError {
  return new ConnectError("the call was canceled", Code.Canceled);
}

/** Why a signal was aborted, as a call that hangs on it reports it: a deadline stays a deadline. */
export function abortError(signal: AbortSignal): ConnectError {
  return signal.reason instanceof ConnectError ? signal.reason : canceledError();
}

/**
 * What a caller sees of anything an implementation throws. An unknown error becomes `Internal` with a fixed message:
 * its text may hold a secret, so that it stays in `cause`, which crosses no wire.
 */
export function thrownError(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (thrown instanceof Error && (thrown.name === "AbortError" || thrown.name === "TimeoutError")) {
    return new ConnectError("the call was canceled", Code.Canceled, undefined, undefined, thrown);
  }
  return new ConnectError("internal error", Code.Internal, undefined, undefined, thrown);
}
