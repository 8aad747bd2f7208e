import { type AdminCaller, readCaller } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** The caller of an RPC that any key may use. */
export function requireCaller(headers: Headers): AdminCaller {
  const caller = readCaller(headers);
  if (caller === undefined) throw gatewayError(Reason.PERMISSION_DENIED, "This call needs a key.");
  return caller;
}

/** The caller of an RPC that the master key alone may use. */
export function requireMaster(headers: Headers): AdminCaller {
  const caller = requireCaller(headers);
  if (caller.kind !== "master") {
    throw gatewayError(Reason.PERMISSION_DENIED, "Only the master key may make and delete keys.");
  }
  return caller;
}
