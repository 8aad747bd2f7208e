import { timingSafeEqual } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AuthContext } from "../context.ts";
import { VirtualKey } from "../db/entities.ts";
import type { AuthTelemetry } from "../events.ts";
import { masterPrincipal, virtualPrincipal } from "../principal.ts";
import { isKeyHash } from "../secret-key.ts";

export function authenticate(
  { database, masterKeyHash }: AuthContext,
  telemetry: AuthTelemetry,
): ServiceImpl<typeof AuthService>["authenticate"] {
  return async ({ keyHash }) => {
    if (!isKeyHash(keyHash)) {
      throw gatewayError(Reason.INVALID_REQUEST, "key_hash must be 64 hexadecimal digits.", { param: "key_hash" });
    }
    if (masterKeyHash !== undefined && timingSafeEqual(Buffer.from(keyHash), Buffer.from(masterKeyHash))) {
      telemetry.authenticated("master");
      return { principal: masterPrincipal(keyHash) };
    }
    const row = await findKey(keyHash);
    telemetry.authenticated(row === null ? "unknown" : "virtual");
    if (row === null) throw gatewayError(Reason.KEY_INVALID, "Invalid API key.", { param: "key" });
    return { principal: virtualPrincipal(row) };
  };

  async function findKey(keyId: string) {
    try {
      return await database.em().findOne(VirtualKey, { keyId });
    } catch (error) {
      telemetry.authenticated("unavailable");
      throw databaseError(error);
    }
  }
}
