import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** @throws CONFLICT where the caller names the version it has read and the row has another one by now. */
export function requireVersion(actual: number, read: number | undefined): void {
  if (read === undefined || read === actual) return;
  throw gatewayError(
    Reason.CONFLICT,
    `Somebody else has changed this meanwhile: it is at version ${actual}, you have read version ${read}. Read it again.`,
    { param: "version" },
  );
}
