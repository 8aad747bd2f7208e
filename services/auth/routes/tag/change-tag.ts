import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { TagSettingsSchema } from "#gen/sluice/auth/v1/tag_pb.ts";
import type { TagService } from "#gen/sluice/auth/v1/tag_service_pb.ts";
import { requireBudget } from "../../budgets.ts";
import { change, createdBy } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { Tag, type TagRow } from "../../db/entities.ts";
import { insertThing, lockThing, requireId, updateThing } from "../../kind.ts";
import { scopeOf } from "../../scope.ts";
import { pathsUnder, writeDoc } from "../../stored-doc.ts";
import { tagKind, tagViews } from "../../tags.ts";

export function createTag(context: RouteContext): ServiceImpl<typeof TagService>["createTag"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const settings = request.settings ?? create(TagSettingsSchema);
    const row: TagRow = {
      tagName: requireId(tagKind, request.name),
      doc: {},
      ...createdBy(caller, new Date(context.clock())),
    };
    await change(context, caller, async (em) => {
      await requireBudget(em, settings.limits);
      row.doc = writeDoc(TagSettingsSchema, settings);
      await insertThing(em, tagKind, row);
      return { result: undefined, changed: [{ scope: scopeOf.tag(row.tagName), action: "created" }] };
    });
    return { message: `Tag ${row.tagName} created successfully`, tag: await viewOf(context, row) };
  };
}

export function updateTag(context: RouteContext): ServiceImpl<typeof TagService>["updateTag"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { settings, version } = request;
    const row = await change(context, caller, async (em) => {
      const locked = await lockThing(em, tagKind, requireId(tagKind, request.name));
      const paths = pathsUnder("settings", request.updateMask?.paths);
      await requireBudget(em, settings?.limits);
      updateThing(tagKind, locked, caller, new Date(context.clock()), { settings, paths, version });
      return { result: locked, changed: [{ scope: scopeOf.tag(locked.tagName), action: "updated" }] };
    });
    return { message: `Tag ${row.tagName} updated successfully`, tag: await viewOf(context, row) };
  };
}

/** Outside of the change: what was spent, accounting is asked, and it may wait for the same database. */
async function viewOf(context: RouteContext, row: TagRow) {
  const [tag] = await tagViews(context, context.database.em(), [row]);
  return tag;
}

export function deleteTag(context: RouteContext): ServiceImpl<typeof TagService>["deleteTag"] {
  return async ({ name }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    return change(context, caller, async (em) => {
      await lockThing(em, tagKind, requireId(tagKind, name));
      await em.nativeDelete(Tag, { tagName: name });
      const result = { message: `Tag ${name} deleted successfully` };
      return { result, changed: [{ scope: scopeOf.tag(name), action: "deleted" }] };
    });
  };
}
