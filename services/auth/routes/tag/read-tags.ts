import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import type { TagService } from "#gen/sluice/auth/v1/tag_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { Tag } from "../../db/entities.ts";
import { tagKind, tagViews } from "../../tags.ts";

const most = 1000;

export function getTags(context: RouteContext): ServiceImpl<typeof TagService>["getTags"] {
  return async ({ names }) => {
    try {
      const em = context.database.em();
      const tags = await tagViews(context, em, await em.find(Tag, tagKind.where(names)));
      return { tags: Object.fromEntries(tags.map((tag) => [tag.name, tag])) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function listTags(context: RouteContext): ServiceImpl<typeof TagService>["listTags"] {
  return async () => {
    try {
      const em = context.database.em();
      const rows = await em.find(Tag, {}, { limit: most, orderBy: { tagName: "asc" } });
      return { tags: await tagViews(context, em, rows) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}
