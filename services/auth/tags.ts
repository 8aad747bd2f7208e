import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { TagSettingsSchema } from "#gen/sluice/auth/v1/tag_pb.ts";
import { type Tag as TagMessage, TagSchema } from "#gen/sluice/auth/v1/tag_service_pb.ts";
import { budgetsOf, limitsView } from "./budgets.ts";
import type { RouteContext } from "./context.ts";
import { Tag, type TagRow } from "./db/entities.ts";
import type { Kind } from "./kind.ts";
import { scopeOf } from "./scope.ts";
import { spentBy } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";

export const tagKind: Kind<TagRow, typeof TagSettingsSchema> = {
  label: "Tag",
  param: "name",
  entity: Tag,
  settings: TagSettingsSchema,
  where: (names) => ({ tagName: { $in: [...names] } }),
};

/** Tags as an administrator sees them, with what was spent on them. */
export async function tagViews(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly TagRow[],
): Promise<TagMessage[]> {
  const settings = rows.map(({ doc }) => readDoc(TagSettingsSchema, doc));
  const budgets = await budgetsOf(
    em,
    settings.map(({ limits }) => limits),
  );
  const spends = await spentBy(
    context,
    rows.map(({ tagName }) => scopeOf.tag(tagName)),
  );
  return rows.map((row, at) =>
    create(TagSchema, {
      name: row.tagName,
      settings: settings[at],
      spend: spends[at]?.spent ?? 0n,
      litellmBudgetTable: limitsView(settings[at]?.limits, budgets),
      createdAt: timestampFromDate(row.createdAt),
      updatedAt: timestampFromDate(row.updatedAt),
      createdBy: row.createdBy,
    }),
  );
}
