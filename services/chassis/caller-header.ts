import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { type AdminCaller, AdminCallerSchema, Role } from "#gen/sluice/rest/v1/caller_pb.ts";

/** `-bin` marks a header whose value is Base64 (gRPC's rule for binary metadata). */
const header = "x-sluice-caller-bin";

/** The headers that tell a service who is behind an admin RPC. They travel under the mesh token only. */
export function callerHeaders(caller: AdminCaller): Record<string, string> {
  return { [header]: encodeBinaryHeader(toBinary(AdminCallerSchema, caller)) };
}

/**
 * Reads the caller of an admin RPC. Undefined means an internal client without a caller, or a header that nobody of the
 * mesh has written: both may do nothing.
 */
export function readCaller(headers: Headers): AdminCaller | undefined {
  const value = headers.get(header);
  if (value === null) return undefined;
  try {
    return fromBinary(AdminCallerSchema, decodeBinaryHeader(value));
  } catch {
    return undefined;
  }
}

/** The caller that the master key is. */
export function masterCaller(keyId: string): AdminCaller {
  return create(AdminCallerSchema, { keyId, master: true, roles: [Role.PROXY_ADMIN, Role.KEY] });
}

export function isProxyAdmin(caller: AdminCaller): boolean {
  return caller.roles.includes(Role.PROXY_ADMIN);
}
