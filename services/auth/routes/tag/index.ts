import { type Implementation, implement } from "#chassis/service.ts";
import { TagService } from "#gen/sluice/auth/v1/tag_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { createTag, deleteTag, updateTag } from "./change-tag.ts";
import { getTags, listTags } from "./read-tags.ts";

export function tagRoutes(context: RouteContext): Implementation {
  return implement(TagService, {
    createTag: createTag(context),
    updateTag: updateTag(context),
    getTags: getTags(context),
    listTags: listTags(context),
    deleteTag: deleteTag(context),
  });
}
