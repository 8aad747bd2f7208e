import { timingSafeEqual } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "../context.ts";
import { createKeyFinder } from "../key-finder.ts";
import { loadLineage } from "../lineage.ts";
import { masterPrincipal, virtualPrincipal } from "../principal.ts";
import { isKeyHash } from "../secret-key.ts";

export function authenticate({
  database,
  masterKeyHash,
  telemetry,
  clock,
}: RouteContext): ServiceImpl<typeof AuthService>["authenticate"] {
  const findKey = createKeyFinder(database);
  return async ({ keyHash }, { signal }) => {
    if (!isKeyHash(keyHash)) {
      throw gatewayError(Reason.INVALID_REQUEST, "key_hash must be 64 hexadecimal digits.", { param: "key_hash" });
    }
    if (masterKeyHash !== undefined && timingSafeEqual(Buffer.from(keyHash), Buffer.from(masterKeyHash))) {
      telemetry.authenticated("master");
      return { principal: masterPrincipal(keyHash) };
    }
    const lineage = await find(keyHash, signal);
    telemetry.authenticated(lineage === null ? "unknown" : "virtual");
    if (lineage === null) throw gatewayError(Reason.KEY_INVALID, "Invalid API key.", { param: "key" });
    return { principal: virtualPrincipal(lineage, new Date(clock())) };
  };

  async function find(keyHash: string, signal: AbortSignal) {
    try {
      const found = await findKey(keyHash, signal);
      return found === null ? null : await loadLineage(database, found);
    } catch (error) {
      telemetry.authenticated("unavailable");
      throw databaseError(error);
    }
  }
}
