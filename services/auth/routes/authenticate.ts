import type { ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Authenticator } from "../authenticator.ts";

export function authenticate(identify: Authenticator): ServiceImpl<typeof AuthService>["authenticate"] {
  return async ({ keyHash }, { signal }) => {
    const principal = await identify(keyHash, signal);
    if (principal === undefined) throw gatewayError(Reason.KEY_INVALID, "Invalid API key.", { param: "key" });
    return { principal };
  };
}
