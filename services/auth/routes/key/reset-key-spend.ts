import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { type KeyService, ResetKeySpendResponseSchema } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { lockKey } from "../../key-changing.ts";
import { mayAdministerKey } from "../../key-rights.ts";
import { scopeOf } from "../../scope.ts";
import { setSpend, spentByOne } from "../../scope-spend.ts";
import { keyIdOf } from "../../secret-key.ts";
import { readDoc } from "../../stored-doc.ts";

export function resetKeySpend(context: RouteContext): ServiceImpl<typeof KeyService>["resetKeySpend"] {
  return async ({ key, resetTo }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const keyId = keyIdOf(key);
    const scope = scopeOf.key(keyId);
    if (resetTo === undefined) throw invalid("reset_to is required.");
    const row = await change(context, caller, async (em) => {
      const locked = await lockKey(em, caller, keyId, "resetSpend", mayAdministerKey);
      return { result: locked.row, changed: [{ scope, action: "updated" }] };
    });
    const { spent, resetsAt } = await spentByOne(context, scope);
    if (resetTo > spent) throw invalid("reset_to must not be above what the key has spent.");
    const previousSpend = await setSpend(context, caller, scope, resetTo);
    const { limits } = readDoc(KeySettingsSchema, row.doc);
    return create(ResetKeySpendResponseSchema, {
      keyHash: keyId,
      spend: resetTo,
      previousSpend,
      maxBudget: limits?.maxBudget,
      budgetResetAt: resetsAt,
    });
  };
}

function invalid(message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "reset_to" });
}
