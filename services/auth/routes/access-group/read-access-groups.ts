import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import type { AccessGroupService } from "#gen/sluice/auth/v1/access_group_service_pb.ts";
import { accessGroupKind, accessGroupViews } from "../../access-groups.ts";
import type { RouteContext } from "../../context.ts";
import { AccessGroup } from "../../db/entities.ts";
import { notFound, requireId } from "../../kind.ts";

const most = 1000;

export function getAccessGroup({ database }: RouteContext): ServiceImpl<typeof AccessGroupService>["getAccessGroup"] {
  return async ({ accessGroupId }) => {
    try {
      const em = database.em();
      const row = await em.findOne(AccessGroup, { accessGroupId: requireId(accessGroupKind, accessGroupId) });
      if (row === null) throw notFound(accessGroupKind, [accessGroupId]);
      const [group] = await accessGroupViews(em, [row]);
      return { group };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function listAccessGroups({
  database,
}: RouteContext): ServiceImpl<typeof AccessGroupService>["listAccessGroups"] {
  return async () => {
    try {
      const em = database.em();
      const orderBy = { createdAt: "desc", accessGroupId: "asc" } as const;
      const rows = await em.find(AccessGroup, {}, { limit: most, orderBy });
      return { groups: await accessGroupViews(em, rows) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}
