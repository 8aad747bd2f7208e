import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import {
  DeleteModelAccessGroupResponseSchema,
  type ModelAccessGroupService,
} from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { modelsInGroup, requireAccessGroup, setMembership } from "../../models/access-groups.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";

export function createDeleteModelAccessGroup(
  context: AdminContext,
): ServiceImpl<typeof ModelAccessGroupService>["deleteModelAccessGroup"] {
  return async ({ accessGroup }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    requireAccessGroup(context.live.current.registry, accessGroup);
    const modelsUpdated = await change(context, caller, async (em) => {
      const rows = await modelsInGroup(em, accessGroup);
      for (const row of rows) setMembership(row, accessGroup, false, caller, new Date(context.clock()));
      await em.flush();
      return { result: rows.length, changed: { kind: "access_group", name: accessGroup, action: "deleted" } };
    });
    const message = `Access group '${accessGroup}' deleted successfully`;
    return create(DeleteModelAccessGroupResponseSchema, { accessGroup, modelsUpdated, message });
  };
}
