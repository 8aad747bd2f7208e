import type { ServiceImpl } from "@connectrpc/connect";
import type { ModelAccessGroupService } from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { groupView } from "../../models/access-group-view.ts";
import type { AdminContext } from "../../models/admin-context.ts";

export function createGetModelAccessGroup({
  live,
}: AdminContext): ServiceImpl<typeof ModelAccessGroupService>["getModelAccessGroup"] {
  return ({ accessGroup }) => ({ group: groupView(live.current.registry, accessGroup) });
}
