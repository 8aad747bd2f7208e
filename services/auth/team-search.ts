import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { FilterQuery } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { type FoundTeam, FoundTeamSchema } from "#gen/sluice/auth/v1/team_service_pb.ts";
import type { RouteContext } from "./context.ts";
import { DeletedTeam, type DeletedTeamRow, Team, type TeamRow } from "./db/entities.ts";
import type { readOrder } from "./page.ts";
import { scopeOf } from "./scope.ts";
import { nothingSpent, spentBy } from "./scope-spend.ts";
import { teamView, teamViews } from "./teams.ts";

/** Which page, and in what order: by columns that live and deleted teams have. */
interface PageOptions {
  readonly limit: number;
  readonly offset: number;
  readonly orderBy: ReturnType<typeof readOrder>;
}

/** A page of teams, and how many there are on all pages. */
export async function foundTeams(
  context: RouteContext,
  em: SqlEntityManager,
  where: FilterQuery<TeamRow>,
  options: PageOptions,
): Promise<readonly [FoundTeam[], number]> {
  const [rows, total] = await em.findAndCount(Team, where, options);
  const views = await teamViews(context, em, rows);
  return [views.map((team) => create(FoundTeamSchema, { team })), total];
}

/** The same of deleted teams, with what accounting still knows of their spend. */
export async function deletedTeams(
  context: RouteContext,
  em: SqlEntityManager,
  where: FilterQuery<DeletedTeamRow>,
  options: PageOptions,
): Promise<readonly [FoundTeam[], number]> {
  const [rows, total] = await em.findAndCount(DeletedTeam, where, options);
  const spends = await spentBy(
    context,
    rows.map(({ teamId }) => scopeOf.team(teamId)),
  );
  const teams = rows.map((row, at) => {
    const place = (role: string) => (userId: string) => ({
      teamId: row.teamId,
      userId,
      userEmail: null,
      role,
      doc: {},
    });
    const places = [...row.adminIds.map(place("admin")), ...row.memberIds.map(place("user"))];
    const team = teamView(row, places, spends[at] ?? nothingSpent);
    const { deletedAt, deletedBy } = row;
    return create(FoundTeamSchema, { team, deletedAt: timestampFromDate(deletedAt), deletedBy });
  });
  return [teams, total];
}
