import { type Implementation, implement } from "#chassis/service.ts";
import { AccessGroupService } from "#gen/sluice/auth/v1/access_group_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { createAccessGroup, deleteAccessGroup, updateAccessGroup } from "./change-access-group.ts";
import { getAccessGroup, listAccessGroups } from "./read-access-groups.ts";

export function accessGroupRoutes(context: RouteContext): Implementation {
  return implement(AccessGroupService, {
    createAccessGroup: createAccessGroup(context),
    updateAccessGroup: updateAccessGroup(context),
    getAccessGroup: getAccessGroup(context),
    listAccessGroups: listAccessGroups(context),
    deleteAccessGroup: deleteAccessGroup(context),
  });
}
