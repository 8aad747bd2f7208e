import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { RouteContext } from "../context.ts";
import { createKeyFinder } from "../key-finder.ts";
import { loadLineage } from "../lineage.ts";
import { masterPrincipal, virtualPrincipal } from "../principal.ts";
import { isKeyHash } from "../secret-key.ts";

export function authenticate({
  database,
  masterKeys,
  telemetry,
  clock,
}: RouteContext): ServiceImpl<typeof AuthService>["authenticate"] {
  const findKey = createKeyFinder(database, masterKeys);
  return async ({ keyHash }, { signal }) => {
    if (!isKeyHash(keyHash)) {
      throw gatewayError(Reason.INVALID_REQUEST, "key_hash must be 64 hexadecimal digits.", { param: "key_hash" });
    }
    const principal =
      (await findMaster(keyHash)) ?? (await findVirtual(keyHash, signal)) ?? (await findMaster(keyHash));
    const outcome = principal?.kind === CallerKind.MASTER ? "master" : "virtual";
    telemetry.authenticated(principal === undefined ? "unknown" : outcome);
    if (principal === undefined) throw gatewayError(Reason.KEY_INVALID, "Invalid API key.", { param: "key" });
    return { principal };
  };

  async function findMaster(keyHash: string): Promise<Principal | undefined> {
    const accepted = await reading(masterKeys.accepted(keyHash, new Date(clock())));
    return accepted && masterPrincipal(keyHash, accepted.until);
  }

  /** Where nobody has the key, the finder has learned of master keys that took the place of others meanwhile. */
  async function findVirtual(keyHash: string, signal: AbortSignal): Promise<Principal | undefined> {
    const found = await reading(findKey(keyHash, signal));
    if (found === null) return undefined;
    return virtualPrincipal(await reading(loadLineage(database, found)), new Date(clock()));
  }

  async function reading<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      telemetry.authenticated("unavailable");
      throw databaseError(error);
    }
  }
}
