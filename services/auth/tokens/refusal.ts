import type { ConnectError } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** A token that is no good. `why` is read by its owner: nothing of the token but names of claims is in it. */
export function badToken(why: string): ConnectError {
  return gatewayError(Reason.KEY_INVALID, `Authentication Error, Invalid token: ${why}.`, { param: "token" });
}

/** A token that is good and not enough. */
export function tokenDenied(why: string): ConnectError {
  return gatewayError(Reason.PERMISSION_DENIED, `Authentication Error, ${why}.`, { param: "token" });
}

/** Nobody can tell whether the token is good. */
export function tokenUnchecked(cause?: unknown): ConnectError {
  return gatewayError(Reason.UNAVAILABLE, "Tokens cannot be checked at the moment. Try again in a second.", {
    retryAfterMs: 1000,
    cause,
  });
}
