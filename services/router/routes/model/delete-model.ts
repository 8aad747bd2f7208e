import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { DeleteModelResponseSchema, type ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { StoredDeployment } from "../../db/entities.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";
import { lockModel } from "../../models/stored-rows.ts";

export function createDeleteModel(context: AdminContext): ServiceImpl<typeof ModelService>["deleteModel"] {
  return async ({ id }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    await change(context, caller, async (em) => {
      const { modelId } = await lockModel(em, context, caller, id);
      await em.nativeDelete(StoredDeployment, { modelId });
      return { result: undefined, changed: { kind: "model", name: modelId, action: "deleted" } };
    });
    return create(DeleteModelResponseSchema, { message: `Model: ${id} deleted successfully` });
  };
}
