import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import {
  type KeyService,
  type RegenerateKeyRequest,
  RegenerateKeyResponseSchema,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { applyUpdate, lockKey } from "../../key-changing.ts";
import { readChosenKey } from "../../key-input.ts";
import { requireFreeKey } from "../../key-making.ts";
import { replaceKey } from "../../key-rotation.ts";
import { keyView } from "../../key-view.ts";
import { rotateMasterKey } from "../../master-key-rotation.ts";
import { scopeOf } from "../../scope.ts";
import { copySpend, setSpend, spentByOne } from "../../scope-spend.ts";
import { hashKey, keyIdOf, mintKey } from "../../secret-key.ts";

/**
 * Replaces a key. What calls spend that are in flight meanwhile counts for everybody above the key, and not for the new
 * key itself: its spend is copied before it comes into force.
 */
export function regenerateKey(context: RouteContext): ServiceImpl<typeof KeyService>["regenerateKey"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if (request.key === "") throw gatewayError(Reason.INVALID_REQUEST, "Name the key.", { param: "key" });
    if (request.newMasterKey !== undefined) return rotateMasterKey(context, caller, request);
    const keyId = keyIdOf(request.key);
    const key = readChosenKey(request.newKey, "new_key") ?? mintKey(context.config.keyBytes);
    const scope = scopeOf.key(hashKey(key));
    await requirePossible(caller, keyId, hashKey(key));
    // All of accounting's part is done before: afterwards nothing may keep the answer, with the new key, from its caller.
    await copySpend(context, scopeOf.key(keyId), scope);
    if (request.spend !== undefined) await setSpend(context, caller, scope, request.spend);
    const spend = await spentByOne(context, scope);
    const until = graceUntil(request);
    const row = await change(context, caller, async (em) => {
      const locked = await lockKey(em, caller, keyId, "regenerate");
      await applyUpdate(context, em, caller, locked, request);
      const { row, changed } = await replaceKey(context, em, locked.row, key, until);
      return { result: row, changed };
    });
    return create(RegenerateKeyResponseSchema, {
      key,
      tokenId: row.keyId,
      stored: keyView(row, spend),
      ...(until === undefined ? {} : { oldKeyExpires: timestampFromDate(until) }),
    });
  };

  /** Before spend is written, for somebody who may not or over a key that exists. */
  async function requirePossible(caller: AdminCaller, keyId: string, newId: string): Promise<void> {
    await context.database
      .transaction(async (em) => {
        await lockKey(em, caller, keyId, "regenerate");
        await requireFreeKey(context, em, newId);
      })
      .catch((error: unknown) => {
        throw databaseError(error);
      });
  }

  function graceUntil({ gracePeriod }: RegenerateKeyRequest): Date | undefined {
    const grace = gracePeriod ?? context.config.rotation.grace;
    if (grace === undefined || grace === "") return undefined;
    return addDuration(new Date(context.clock()), parseDuration(grace));
  }
}
