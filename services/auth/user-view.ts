import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { type User as UserMessage, UserSchema } from "#gen/sluice/auth/v1/user_service_pb.ts";
import type { RouteContext } from "./context.ts";
import { TeamMember, type UserRow } from "./db/entities.ts";
import { scopeOf } from "./scope.ts";
import { spentBy } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";

const emptyObject = Buffer.from("{}");

/** Users as an administrator sees them, with their teams and what they spent. */
export async function userViews(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly UserRow[],
): Promise<UserMessage[]> {
  const userIds = rows.map(({ userId }) => userId);
  const [memberships, spends] = await Promise.all([
    rows.length === 0 ? [] : em.find(TeamMember, { userId: { $in: userIds } }),
    spentBy(context, userIds.map(scopeOf.user)),
  ]);
  const teams = Map.groupBy(memberships, ({ userId }) => userId);
  return rows.map((row, at) => {
    const settings = readDoc(UserSettingsSchema, row.doc);
    settings.metadata ??= emptyObject;
    return create(UserSchema, {
      userId: row.userId,
      settings,
      teams: (teams.get(row.userId) ?? []).map(({ teamId }) => teamId).toSorted(),
      spend: spends[at]?.spent ?? 0n,
      budgetResetAt: spends[at]?.resetsAt,
      createdAt: timestampFromDate(row.createdAt),
      updatedAt: timestampFromDate(row.updatedAt),
    });
  });
}

export async function userView(context: RouteContext, em: SqlEntityManager, row: UserRow): Promise<UserMessage> {
  const [view] = await userViews(context, em, [row]);
  return view ?? create(UserSchema);
}
