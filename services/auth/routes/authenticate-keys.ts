import type { ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Authenticator } from "../authenticator.ts";

const maxKeys = 500;

export function authenticateKeys(identify: Authenticator): ServiceImpl<typeof AuthService>["authenticateKeys"] {
  return async ({ keyHashes }, { signal }) => {
    if (keyHashes.length > maxKeys) {
      throw gatewayError(Reason.INVALID_REQUEST, `key_hashes may name ${maxKeys} keys.`, { param: "key_hashes" });
    }
    const principals: Record<string, Principal> = {};
    const identified = keyHashes.map(async (keyHash) => {
      const principal = await identify(keyHash, signal);
      if (principal !== undefined) principals[keyHash] = principal;
    });
    await Promise.all(identified);
    return { principals };
  };
}
