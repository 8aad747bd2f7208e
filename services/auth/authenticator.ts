import { timingSafeEqual } from "node:crypto";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "./context.ts";
import { createKeyFinder } from "./key-finder.ts";
import { gatewayScopes } from "./limit-scopes.ts";
import { loadLineage } from "./lineage.ts";
import { masterPrincipal, virtualPrincipal } from "./principal.ts";
import { isKeyHash } from "./secret-key.ts";

/**
 * Says who a key is, by its hash; undefined where nobody knows. Keys that are asked for at the same moment cost one
 * query together. Rejects with INVALID_REQUEST for what is no hash, and with UNAVAILABLE where the database does not answer.
 */
export type Authenticator = (keyHash: string, signal: AbortSignal) => Promise<Principal | undefined>;

export function createAuthenticator(context: RouteContext): Authenticator {
  const { database, masterKeyHash, telemetry, clock } = context;
  const gateway = gatewayScopes(context.config.tenancyRules);
  const findKey = createKeyFinder(database);
  return async (keyHash, signal) => {
    if (!isKeyHash(keyHash)) {
      throw gatewayError(Reason.INVALID_REQUEST, "key_hash must be 64 hexadecimal digits.", { param: "key_hash" });
    }
    if (masterKeyHash !== undefined && timingSafeEqual(Buffer.from(keyHash), Buffer.from(masterKeyHash))) {
      telemetry.authenticated("master");
      return bound(masterPrincipal(keyHash));
    }
    const lineage = await find(keyHash, signal);
    telemetry.authenticated(lineage === null ? "unknown" : "virtual");
    return lineage === null ? undefined : bound(virtualPrincipal(lineage, new Date(clock())));
  };

  function bound(principal: Principal): Principal {
    principal.scopes.push(...gateway);
    return principal;
  }

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
