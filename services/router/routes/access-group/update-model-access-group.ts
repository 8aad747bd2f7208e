import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import {
  type ModelAccessGroupService,
  UpdateModelAccessGroupResponseSchema,
} from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { modelsInGroup, requireAccessGroup, selectModels, setMembership } from "../../models/access-groups.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";

export function createUpdateModelAccessGroup(
  context: AdminContext,
): ServiceImpl<typeof ModelAccessGroupService>["updateModelAccessGroup"] {
  return async ({ accessGroup, modelNames, modelIds }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    requireAccessGroup(context.live.current.registry, accessGroup);
    const modelsUpdated = await change(context, caller, async (em) => {
      const now = new Date(context.clock());
      const wanted = new Set(await selectModels(em, { modelNames, modelIds }));
      const before = await modelsInGroup(em, accessGroup);
      for (const row of before) if (!wanted.has(row)) setMembership(row, accessGroup, false, caller, now);
      for (const row of wanted) if (!before.includes(row)) setMembership(row, accessGroup, true, caller, now);
      await em.flush();
      return { result: wanted.size, changed: { kind: "access_group", name: accessGroup, action: "updated" } };
    });
    return create(UpdateModelAccessGroupResponseSchema, { accessGroup, modelNames, modelIds, modelsUpdated });
  };
}
