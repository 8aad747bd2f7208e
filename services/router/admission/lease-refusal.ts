import { Code, ConnectError } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import { type GatewayError, Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** What accounting refused, and why; undefined where it did not answer. */
export function refusalOf(error: unknown): GatewayError | undefined {
  const failure = ConnectError.from(error);
  return failure.code === Code.ResourceExhausted ? findGatewayError(failure) : undefined;
}

export function budgetTooSmall(): ConnectError {
  return gatewayError(Reason.BUDGET_EXCEEDED, "Budget has been exceeded! What is left does not pay for this call.", {
    limitType: "budget",
  });
}

/** Accounting did not answer in time. */
export function unavailable(): ConnectError {
  return gatewayError(Reason.UNAVAILABLE, "The limits of this key cannot be checked now. Try again.", {
    retryAfterMs: 1000,
  });
}
