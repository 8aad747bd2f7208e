import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { type TeamMemberSettings, TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import {
  BulkAddTeamMembersResponseSchema,
  type TeamMemberAddResult,
  TeamMemberAddResultSchema,
  type TeamService,
} from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { TeamMember, type TeamRow, User, type UserRow } from "../../db/entities.ts";
import { insertPlaces } from "../../team-members.ts";
import { requireTeamRight } from "../../team-rights.ts";
import { oneTeamView } from "../../teams.ts";
import { userViews } from "../../user-view.ts";
import { type AddedMembers, addMembers, newMembership } from "./add-team-members.ts";
import { lockTeam } from "./lock-team.ts";

const mostMembers = 500;

export function bulkAddTeamMembers(context: RouteContext): ServiceImpl<typeof TeamService>["bulkAddTeamMembers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { teamId, members, allUsers, maxBudgetInTeam: maxBudget } = request;
    if (allUsers === members.length > 0) throw invalid("Give either members, or all_users.");
    if (members.length > mostMembers) throw invalid(`Give at most ${mostMembers} members.`);
    const settings = create(TeamMemberSettingsSchema, { limits: { maxBudget } });
    const { row, users, added } = await change(context, caller, async (em) => {
      const locked = await lockTeam(em, caller, teamId);
      if (allUsers) requireTeamRight(isProxyAdmin(caller), "all_users");
      const joined = allUsers
        ? await addEverybody(context, em, caller, locked, settings)
        : await addMembers(context, em, caller, locked, members, settings);
      return { result: { row: locked, ...joined }, changed: joined.changed };
    });
    const results = allUsers ? users.map(joinedView) : await namedViews(context, row, users, added, settings);
    const successfulAdditions = results.filter(({ success }) => success).length;
    return create(BulkAddTeamMembersResponseSchema, {
      teamId,
      results,
      totalRequested: results.length,
      successfulAdditions,
      failedAdditions: results.length - successfulAdditions,
      updatedTeam: await oneTeamView(context, row),
    });
  };
}

/** The outcome for each user that was named: who is named twice joins once. */
async function namedViews(
  context: RouteContext,
  row: TeamRow,
  users: readonly UserRow[],
  added: readonly UserRow[],
  settings: TeamMemberSettings,
): Promise<TeamMemberAddResult[]> {
  const views = await userViews(context, context.database.em(), added);
  const unseen = new Map(views.map((view) => [view.userId, view]));
  return users.map((user) => {
    const updatedUser = unseen.get(user.userId);
    unseen.delete(user.userId);
    const view = joinedView(user);
    if (updatedUser === undefined) {
      return create(TeamMemberAddResultSchema, { ...view, success: false, error: "The user is in the team already." });
    }
    const updatedTeamMembership = newMembership(row, user, settings);
    return create(TeamMemberAddResultSchema, { ...view, updatedUser, updatedTeamMembership });
  });
}

function joinedView({ userId, userEmail }: UserRow): TeamMemberAddResult {
  return create(TeamMemberAddResultSchema, { userId, userEmail: userEmail ?? undefined, success: true });
}

/** Adds every user that is not in the team. */
async function addEverybody(
  context: RouteContext,
  em: SqlEntityManager,
  caller: AdminCaller,
  { teamId }: TeamRow,
  settings: TeamMemberSettings,
): Promise<AddedMembers> {
  const members = new Set((await em.find(TeamMember, { teamId })).map(({ userId }) => userId));
  const added = (await em.find(User, {}, { orderBy: { userId: "asc" } })).filter(({ userId }) => !members.has(userId));
  const places = added.map(({ userId }) => ({ userId, role: "user" }));
  const changed = await insertPlaces(em, caller, new Date(context.clock()), teamId, places, settings);
  return { users: added, added, changed };
}

function invalid(message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "members" });
}
