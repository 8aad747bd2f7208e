import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import type { TeamSettings } from "#gen/sluice/auth/v1/team_pb.ts";
import { TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { type TeamService, UpdateTeamResponseSchema } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { requireNoMore } from "../../allowance.ts";
import { requireBudget } from "../../budgets.ts";
import { change, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { scopeOf } from "../../scope.ts";
import { patch, pathsUnder } from "../../stored-doc.ts";
import { readTeamSettings, teamColumns } from "../../team-input.ts";
import { requireFit, requireGroups, requireMembersIn } from "../../team-organization.ts";
import { isAboveTeam, requireTeamRight } from "../../team-rights.ts";
import { oneTeamView, teamSettings } from "../../teams.ts";
import { requireVersion } from "../../version.ts";
import { lockTeam } from "./lock-team.ts";

export function updateTeam(context: RouteContext): ServiceImpl<typeof TeamService>["updateTeam"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { teamId } = request;
    const changed = await change(context, caller, async (em) => {
      const row = await lockTeam(em, caller, teamId);
      requireVersion(row.version, request.version);
      const before = teamSettings(row);
      const paths = pathsUnder("settings", request.updateMask?.paths);
      const after = readTeamSettings(patch(TeamSettingsSchema, before, request.settings, paths));
      await requireBudget(em, after.limits);
      await requireChangeRight(em, caller, before, after, paths);
      await requirePlace(em, caller, teamId, before, after);
      if (paths.includes("access_group_ids")) await requireGroups(em, after.accessGroupIds);
      em.assign(row, teamColumns(after));
      touch(row, caller, new Date(context.clock()));
      return { result: row, changed: [{ scope: scopeOf.team(teamId), action: "updated" }] };
    });
    return create(UpdateTeamResponseSchema, { teamId, data: await oneTeamView(context, changed) });
  };
}

/** Settings by which somebody above bounds a team. */
const bounds = /^(?:limits(?:$|\.)|blocked$|organization_id$|access_group_ids$|rpm_limit_type$|tpm_limit_type$)/;
/** Those of them that its own admin may lower. */
const lowered = /^limits\.(?:max_budget|soft_budget|tpm_limit|rpm_limit|max_parallel_requests)$/;

/** A team's own admin decides about what is inside its bounds, and does not move them outwards. */
async function requireChangeRight(
  em: SqlEntityManager,
  caller: AdminCaller,
  before: TeamSettings,
  after: TeamSettings,
  paths: readonly string[],
): Promise<void> {
  if (isAboveTeam(caller, before.organizationId)) return;
  for (const path of paths) {
    if (bounds.test(path) && !lowered.test(path)) requireTeamRight(false, path.split(".").at(-1));
  }
  await requireNoMore(em, before, after, { reason: Reason.PERMISSION_DENIED, of: "the team" });
}

/** Whether the team fits its organization, and may move to it where that is another one. */
async function requirePlace(
  em: SqlEntityManager,
  caller: AdminCaller,
  teamId: string,
  before: TeamSettings,
  after: TeamSettings,
): Promise<void> {
  if (after.organizationId === before.organizationId) return requireFit(em, teamId, after);
  requireTeamRight(isAboveTeam(caller, after.organizationId), "organization_id");
  await requireFit(em, teamId, after, Reason.PERMISSION_DENIED);
  if (after.organizationId !== undefined) await requireMembersIn(em, teamId, after.organizationId);
}
