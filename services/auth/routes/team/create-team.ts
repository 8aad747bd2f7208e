import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import type { CreateTeamRequest, TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { requireBudget } from "../../budgets.ts";
import { type Changed, change, createdBy } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import type { TeamRow } from "../../db/entities.ts";
import { insertThing } from "../../kind.ts";
import { type NamedUser, resolveUsers } from "../../member-users.ts";
import { scopeOf } from "../../scope.ts";
import { readTeamSettings, teamColumns } from "../../team-input.ts";
import { insertPlaces, readTeamRole } from "../../team-members.ts";
import { capByCreator, requireFit, requireGroups } from "../../team-organization.ts";
import { mayCreateTeam, requireTeamRight } from "../../team-rights.ts";
import { oneTeamView, teamKind } from "../../teams.ts";

export function createTeam(context: RouteContext): ServiceImpl<typeof TeamService>["createTeam"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const settings = readTeamSettings(request.settings);
    requireTeamRight(mayCreateTeam(caller, settings.organizationId), "organization_id");
    const now = new Date(context.clock());
    const teamId = request.teamId || randomUUID();
    const named = namedMembers(caller, request);
    const row = await change(context, caller, async (em) => {
      await capByCreator(em, caller, settings);
      await requireBudget(em, settings.limits);
      await requireFit(em, teamId, settings);
      await requireGroups(em, settings.accessGroupIds);
      const made: TeamRow = { teamId, ...teamColumns(settings), ...createdBy(caller, now) };
      await insertThing(em, teamKind, made);
      const { users } = await resolveUsers(em, caller, now, named);
      // Who is named twice has the role that was named first.
      const roles = new Map(users.map(({ userId }, at) => [userId, named[at]?.role ?? "user"] as const).toReversed());
      const members = [...roles].toReversed().map(([userId, role]) => ({ userId, role }));
      const joined = await insertPlaces(em, caller, now, teamId, members, create(TeamMemberSettingsSchema));
      const changed: Changed[] = [{ scope: scopeOf.team(teamId), action: "created" }, ...joined];
      return { result: made, changed };
    });
    return { team: await oneTeamView(context, row) };
  };
}

interface NamedMember extends NamedUser {
  readonly role: "admin" | "user";
}

/** Who is in the team from the start: whoever the request names, and the caller as an admin, where it is a user. */
function namedMembers(caller: AdminCaller, request: CreateTeamRequest): NamedMember[] {
  const named = request.membersWithRoles.map(
    ({ userId, userEmail, role }): NamedMember => ({ userId, userEmail, role: readTeamRole(role) }),
  );
  const creator = caller.userId === "" ? [] : [caller.userId];
  const admins = [...creator, ...request.admins].map((userId): NamedMember => ({ userId, role: "admin" }));
  return [...admins, ...named, ...request.members.map((userId): NamedMember => ({ userId, role: "user" }))];
}
