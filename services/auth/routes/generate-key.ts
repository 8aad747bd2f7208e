import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError, isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { requireMaster } from "../admin-caller.ts";
import type { AuthContext } from "../context.ts";
import { VirtualKey, type VirtualKeyRow } from "../db/entities.ts";
import type { AuthTelemetry } from "../events.ts";
import { readKeyInput } from "../key-input.ts";
import { keyFields } from "../key-message.ts";
import type { KeyAnnouncer } from "../outbox.ts";
import { hashKey, mintKey, nameOf } from "../secret-key.ts";

export function generateKey(
  context: AuthContext,
  announcer: KeyAnnouncer,
  telemetry: AuthTelemetry,
): ServiceImpl<typeof KeyService>["generateKey"] {
  const { database, masterKeyHash, config, clock } = context;
  return async (request, { requestHeader }) => {
    const caller = requireMaster(requestHeader);
    const now = new Date(clock());
    const { key = mintKey(config.keyBytes), ...input } = readKeyInput(request, now);
    const row: VirtualKeyRow = {
      ...input,
      keyId: hashKey(key),
      keyName: nameOf(key),
      createdAt: now,
      createdBy: caller.keyId,
      updatedAt: now,
      version: 1,
    };
    if (row.keyId === masterKeyHash) throw keyExists();
    await insert(row);
    await announcer.announce();
    telemetry.keyGenerated(row.keyId, caller.keyId);
    return {
      key,
      token: row.keyId,
      tokenId: row.keyId,
      duration: request.duration,
      spend: 0n,
      ...keyFields(row),
    };
  };

  async function insert(row: VirtualKeyRow): Promise<void> {
    try {
      await database.transaction(async (em) => {
        await em.insert(VirtualKey, row);
        await announcer.note(em, [row.keyId]);
      });
    } catch (error) {
      if (isUniqueViolation(error, "virtual_key_pkey")) throw keyExists();
      if (isUniqueViolation(error, "virtual_key_alias")) throw aliasExists(row.keyAlias ?? "");
      throw databaseError(error);
    }
  }
}

function keyExists() {
  return gatewayError(Reason.CONFLICT, "This key exists already. Choose another one.", { param: "key" });
}

function aliasExists(alias: string) {
  return gatewayError(Reason.CONFLICT, `Key with alias '${alias}' already exists. Aliases are unique among all keys.`, {
    param: "key_alias",
  });
}
