import type { ServiceImpl } from "@connectrpc/connect";
import type { ModelAccessGroupService } from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { groupView } from "../../models/access-group-view.ts";
import type { AdminContext } from "../../models/admin-context.ts";

export function createListModelAccessGroups({
  live,
}: AdminContext): ServiceImpl<typeof ModelAccessGroupService>["listModelAccessGroups"] {
  return () => {
    const { registry } = live.current;
    return { accessGroups: [...registry.accessGroups].sort().map((group) => groupView(registry, group)) };
  };
}
