import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { type TeamMemberSettings, TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import {
  type AddTeamMembersRequest,
  AddTeamMembersResponseSchema,
  type Member,
  type TeamMembership,
  type TeamService,
} from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { TeamMember, type TeamRow, type UserRow } from "../../db/entities.ts";
import { resolveUsers } from "../../member-users.ts";
import { scopeOf } from "../../scope.ts";
import { nothingSpent } from "../../scope-spend.ts";
import { insertPlaces, membershipView, readTeamRole } from "../../team-members.ts";
import { mayManageTeam } from "../../team-rights.ts";
import { oneTeamView, teamSettings } from "../../teams.ts";
import type { TenancyRules } from "../../tenancy-rules.ts";
import { userViews } from "../../user-view.ts";
import { lockTeam } from "./lock-team.ts";

export function addTeamMembers(context: RouteContext): ServiceImpl<typeof TeamService>["addTeamMembers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { teamId, member, maxBudgetInTeam: maxBudget, budgetDuration, allowedModels } = request;
    if (member.length === 0) throw gatewayError(Reason.INVALID_REQUEST, "Name the member.", { param: "member" });
    const limits = create(LimitsSchema, { maxBudget, budgetDuration: budgetDuration || undefined });
    const settings = create(TeamMemberSettingsSchema, { limits, allowedModels });
    const joinsItself = isJoiningItself(context.config.tenancyRules, caller, request);
    const { row, added } = await change(context, caller, async (em) => {
      const locked = await lockTeam(em, caller, teamId, (who, team) => joinsItself || mayManageTeam(who, team));
      const joined = await addMembers(context, em, caller, locked, member, settings);
      if (joined.added.length === 0) throw allInTeam(joined.users);
      return { result: { row: locked, added: joined.added }, changed: joined.changed };
    });
    return create(AddTeamMembersResponseSchema, {
      team: await oneTeamView(context, row),
      updatedUsers: await userViews(context, context.database.em(), added),
      updatedTeamMemberships: added.map((user) => newMembership(row, user, settings)),
    });
  };
}

/** Whether somebody joins a team that is open to all internal users, with nothing of its own there. */
function isJoiningItself(
  { availableTeams }: TenancyRules,
  { userId }: AdminCaller,
  { teamId, member, maxBudgetInTeam, budgetDuration, allowedModels }: AddTeamMembersRequest,
): boolean {
  if (userId === "" || !availableTeams.includes(teamId)) return false;
  if (maxBudgetInTeam !== undefined || budgetDuration || allowedModels.length > 0) return false;
  return member.every((each) => each.userId === userId && !each.userEmail && readTeamRole(each.role) === "user");
}

export interface AddedMembers {
  /** Whom the request names, in its order. */
  readonly users: readonly UserRow[];
  /** Who of them was not in the team before, each once. */
  readonly added: readonly UserRow[];
  readonly changed: readonly Changed[];
}

/** Adds whoever is not in a team yet; the team is locked. */
export async function addMembers(
  context: RouteContext,
  em: SqlEntityManager,
  caller: AdminCaller,
  { teamId }: TeamRow,
  members: readonly Member[],
  settings: TeamMemberSettings,
): Promise<AddedMembers> {
  const roles = members.map(({ role }) => readTeamRole(role));
  const now = new Date(context.clock());
  const { users, created } = await resolveUsers(em, caller, now, members);
  const userIds = users.map(({ userId }) => userId);
  const present = await em.find(TeamMember, { teamId, userId: { $in: userIds } });
  const seen = new Set(present.map(({ userId }) => userId));
  const added: UserRow[] = [];
  const places: { userId: string; role: string }[] = [];
  for (const [at, user] of users.entries()) {
    if (seen.has(user.userId)) continue;
    seen.add(user.userId);
    added.push(user);
    places.push({ userId: user.userId, role: roles[at] ?? "user" });
  }
  const changed = await insertPlaces(em, caller, now, teamId, places, settings);
  const isNew = (userId: string) => created.has(userId);
  const made = userIds.filter(isNew).map((userId): Changed => ({ scope: scopeOf.user(userId), action: "created" }));
  return { users, added, changed: [...made, ...changed] };
}

/** The membership of somebody who joined just now. */
export function newMembership(row: TeamRow, user: UserRow, settings: TeamMemberSettings): TeamMembership {
  const { teamId } = row;
  const { userId, userEmail = null } = user;
  const place = { teamId, userId, userEmail, role: "", doc: {} };
  return membershipView(place, settings, teamSettings(row), new Map(), nothingSpent);
}

/** LiteLLM's answer where nobody is left to add. */
function allInTeam(users: readonly UserRow[]) {
  const ids = [...new Set(users.map(({ userId }) => userId))];
  const message =
    ids.length === 1
      ? `User=${ids[0]} already in team.`
      : `All users are already in team. Existing members=${ids.slice(0, 10).join(", ")}.`;
  return gatewayError(Reason.ALREADY_TEAM_MEMBER, message, { param: ids.length === 1 ? "user_id" : "member" });
}
