import type { ServiceImpl } from "@connectrpc/connect";
import type { AdminCaller } from "#chassis/caller-header.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { requireCaller } from "../admin-caller.ts";
import type { AuthContext } from "../context.ts";
import { VirtualKey } from "../db/entities.ts";
import { keyFields } from "../key-message.ts";
import { keyScope } from "../principal.ts";
import { keyIdOf } from "../secret-key.ts";

const spendTimeoutMs = 3000;

export function getKeyInfo({ database, spend }: AuthContext): ServiceImpl<typeof KeyService>["getKeyInfo"] {
  return async ({ key }, { requestHeader }) => {
    const keyId = permittedKeyId(requireCaller(requestHeader), key);
    const row = await findKey(keyId);
    if (row === null) throw gatewayError(Reason.NOT_FOUND, "Key not found in database.", { param: "key" });
    return { key: key === "" ? keyId : key, info: { ...keyFields(row), spend: await spentBy(keyId) } };
  };

  async function findKey(keyId: string) {
    try {
      return await database.em().findOne(VirtualKey, { keyId });
    } catch (error) {
      throw databaseError(error);
    }
  }

  async function spentBy(keyId: string): Promise<bigint> {
    try {
      const { spends } = await spend.getSpend({ scopes: [keyScope(keyId)] }, { timeoutMs: spendTimeoutMs });
      return spends[0]?.spentNanoUsd ?? 0n;
    } catch (cause) {
      throw gatewayError(Reason.UNAVAILABLE, "The spend of the key is not known now. Try again.", {
        retryAfterMs: 1000,
        cause,
      });
    }
  }
}

function permittedKeyId(caller: AdminCaller, key: string): string {
  if (caller.kind === "master") {
    if (key !== "") return keyIdOf(key);
    throw gatewayError(Reason.INVALID_REQUEST, "Name the key: /key/info?key=sk-... or its hash.", { param: "key" });
  }
  if (key === "" || keyIdOf(key) === caller.keyId) return caller.keyId;
  throw gatewayError(Reason.PERMISSION_DENIED, "A key may see itself only.", { param: "key" });
}
