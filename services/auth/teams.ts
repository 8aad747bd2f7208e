import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { type TeamSettings, TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { MemberSchema, type Team as TeamMessage, TeamSchema } from "#gen/sluice/auth/v1/team_service_pb.ts";
import type { RouteContext } from "./context.ts";
import { Team, type TeamRow } from "./db/entities.ts";
import type { Kind } from "./kind.ts";
import { scopeOf } from "./scope.ts";
import { nothingSpent, spentBy, type WindowSpend } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";
import { placesIn, type TeamPlace } from "./team-members.ts";

export const teamKind: Kind<TeamRow, typeof TeamSettingsSchema> = {
  label: "Team",
  param: "team_id",
  entity: Team,
  settings: TeamSettingsSchema,
  where: (ids) => ({ teamId: { $in: [...ids] } }),
};

const emptyObject = Buffer.from("{}");

export function teamSettings({ doc }: Pick<TeamRow, "doc">): TeamSettings {
  return readDoc(TeamSettingsSchema, doc);
}

/** What a team and a deleted one have. */
type SeenTeam = Pick<TeamRow, "teamId" | "doc" | "createdAt" | "updatedAt" | "version">;

/** A team as an administrator sees it. */
export function teamView(row: SeenTeam, places: readonly TeamPlace[], { spent, resetsAt }: WindowSpend): TeamMessage {
  const settings = teamSettings(row);
  settings.metadata ??= emptyObject;
  settings.blocked ??= false;
  return create(TeamSchema, {
    teamId: row.teamId,
    settings,
    admins: places.filter(({ role }) => role === "admin").map(({ userId }) => userId),
    members: places.filter(({ role }) => role !== "admin").map(({ userId }) => userId),
    membersWithRoles: places.map(({ userId, userEmail, role }) =>
      create(MemberSchema, { userId, userEmail: userEmail ?? undefined, role }),
    ),
    spend: spent,
    budgetResetAt: resetsAt,
    createdAt: timestampFromDate(row.createdAt),
    updatedAt: timestampFromDate(row.updatedAt),
    version: row.version,
  });
}

/** Teams with their members and what they spent. */
export async function teamViews(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly TeamRow[],
): Promise<TeamMessage[]> {
  const teamIds = rows.map(({ teamId }) => teamId);
  const places = await placesIn(em, teamIds);
  const spends = await spentBy(context, teamIds.map(scopeOf.team));
  return rows.map((row, at) => teamView(row, places.get(row.teamId) ?? [], spends[at] ?? nothingSpent));
}

/** The same of one team, as it is now. Not within a transaction: accounting may have to wait for that to end. */
export async function oneTeamView(context: RouteContext, row: TeamRow): Promise<TeamMessage> {
  const [view] = await teamViews(context, context.database.em(), [row]);
  return view ?? create(TeamSchema);
}
