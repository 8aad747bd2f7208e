import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { type TeamMemberSettings, TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import {
  type BulkAddTeamMembersRequest,
  BulkAddTeamMembersResponseSchema,
  type TeamMemberAddResult,
  TeamMemberAddResultSchema,
  type TeamService,
} from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import type { TeamRow } from "../../db/entities.ts";
import { insertPlaces } from "../../team-members.ts";
import { requireTeamRight } from "../../team-rights.ts";
import { oneTeamView } from "../../teams.ts";
import { userViews } from "../../user-view.ts";
import { addMembers, newMembership } from "./add-team-members.ts";
import { lockTeam } from "./lock-team.ts";

const mostMembers = 500;

interface Outcome {
  readonly results: TeamMemberAddResult[];
  readonly changed: readonly Changed[];
}

export function bulkAddTeamMembers(context: RouteContext): ServiceImpl<typeof TeamService>["bulkAddTeamMembers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { teamId, members, allUsers, maxBudgetInTeam: maxBudget } = request;
    if (allUsers === members.length > 0) throw invalid("Give either members, or all_users.");
    if (members.length > mostMembers) throw invalid(`Give at most ${mostMembers} members.`);
    const settings = create(TeamMemberSettingsSchema, { limits: { maxBudget } });
    return change(context, caller, async (em) => {
      const row = await lockTeam(em, caller, teamId);
      if (allUsers) requireTeamRight(isProxyAdmin(caller), "all_users");
      const { results, changed } = allUsers
        ? await addEverybody(context, em, caller, row, settings)
        : await addNamed(context, em, caller, row, request, settings);
      const successfulAdditions = results.filter(({ success }) => success).length;
      const result = create(BulkAddTeamMembersResponseSchema, {
        teamId,
        results,
        totalRequested: results.length,
        successfulAdditions,
        failedAdditions: results.length - successfulAdditions,
        updatedTeam: await oneTeamView(context, em, row),
      });
      return { result, changed };
    });
  };
}

async function addNamed(
  context: RouteContext,
  em: SqlEntityManager,
  caller: AdminCaller,
  row: TeamRow,
  { members }: BulkAddTeamMembersRequest,
  settings: TeamMemberSettings,
): Promise<Outcome> {
  const { users, added, changed } = await addMembers(context, em, caller, row, members, settings);
  const views = new Map((await userViews(context, em, added)).map((view) => [view.userId, view]));
  const results = users.map((user) => {
    const updatedUser = views.get(user.userId);
    // Who is named twice joins once.
    views.delete(user.userId);
    const named = { userId: user.userId, userEmail: user.userEmail ?? undefined };
    if (updatedUser === undefined) {
      return create(TeamMemberAddResultSchema, { ...named, success: false, error: "The user is in the team already." });
    }
    const updatedTeamMembership = newMembership(row, user, settings);
    return create(TeamMemberAddResultSchema, { ...named, success: true, updatedUser, updatedTeamMembership });
  });
  return { results, changed };
}

/** Adds every user that is not in the team. */
async function addEverybody(
  context: RouteContext,
  em: SqlEntityManager,
  caller: AdminCaller,
  { teamId }: TeamRow,
  settings: TeamMemberSettings,
): Promise<Outcome> {
  const rows = await em.execute(
    `select user_id, user_email from auth.internal_user u
      where not exists (select from auth.team_member m where m.team_id = ? and m.user_id = u.user_id)
      order by user_id`,
    [teamId],
  );
  const users = rows.map((row) => ({ userId: String(row.user_id), userEmail: row.user_email, role: "user" }));
  const changed = await insertPlaces(em, caller, new Date(context.clock()), teamId, users, settings);
  const results = users.map(({ userId, userEmail }) =>
    create(TeamMemberAddResultSchema, {
      userId,
      userEmail: userEmail === null ? undefined : String(userEmail),
      success: true,
    }),
  );
  return { results, changed };
}

function invalid(message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "members" });
}
