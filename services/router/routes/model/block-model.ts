import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { touch } from "#chassis/authorship.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { StoredModel } from "#gen/sluice/router/v1/model_pb.ts";
import {
  BlockModelResponseSchema,
  type ModelService,
  UnblockModelResponseSchema,
} from "#gen/sluice/router/v1/model_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";
import { storedModelView } from "../../models/model-view.ts";
import { lockModel } from "../../models/stored-rows.ts";

export function createBlockModel(context: AdminContext): ServiceImpl<typeof ModelService>["blockModel"] {
  return async ({ modelId }, { requestHeader }) => {
    const model = await setBlocked(context, requireCaller(requestHeader), modelId, true);
    return create(BlockModelResponseSchema, { model });
  };
}

export function createUnblockModel(context: AdminContext): ServiceImpl<typeof ModelService>["unblockModel"] {
  return async ({ modelId }, { requestHeader }) => {
    const model = await setBlocked(context, requireCaller(requestHeader), modelId, false);
    return create(UnblockModelResponseSchema, { model });
  };
}

/** Nothing else of the deployment is looked at: one that cannot be used can be blocked too. */
async function setBlocked(
  context: AdminContext,
  caller: AdminCaller,
  modelId: string,
  blocked: boolean,
): Promise<StoredModel> {
  const row = await change(context, caller, async (em) => {
    const locked = await lockModel(em, context, caller, modelId);
    locked.blocked = blocked;
    touch(locked, caller, new Date(context.clock()));
    await em.flush();
    return { result: locked, changed: { kind: "model", name: modelId, action: blocked ? "blocked" : "unblocked" } };
  });
  return storedModelView(row, context.sync.sealer);
}
