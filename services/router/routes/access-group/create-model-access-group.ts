import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import {
  CreateModelAccessGroupResponseSchema,
  type ModelAccessGroupService,
} from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { selectModels, setMembership } from "../../models/access-groups.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";
import { invalid } from "../../models/model-input.ts";

export function createCreateModelAccessGroup(
  context: AdminContext,
): ServiceImpl<typeof ModelAccessGroupService>["createModelAccessGroup"] {
  return async ({ accessGroup, modelNames, modelIds }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if (accessGroup.trim() === "") throw invalid("access_group", "'access_group' must not be empty.");
    if (context.live.current.registry.accessGroup(accessGroup) !== undefined) {
      const message = `Access group '${accessGroup}' already exists. Use its update path to change it.`;
      throw gatewayError(Reason.CONFLICT, message, { param: "access_group" });
    }
    const modelsUpdated = await change(context, caller, async (em) => {
      const rows = await selectModels(em, { modelNames, modelIds });
      for (const row of rows) setMembership(row, accessGroup, true, caller, new Date(context.clock()));
      await em.flush();
      return { result: rows.length, changed: { kind: "access_group", name: accessGroup, action: "created" } };
    });
    return create(CreateModelAccessGroupResponseSchema, { accessGroup, modelNames, modelIds, modelsUpdated });
  };
}
