import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { TeamSettings } from "#gen/sluice/auth/v1/team_pb.ts";
import type { Team, TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { noModels } from "../../model-lists.ts";
import { scopeOf } from "../../scope.ts";
import { readModels, teamColumns } from "../../team-input.ts";
import { requireFit } from "../../team-organization.ts";
import { readPermissions } from "../../team-permissions.ts";
import { isAboveTeam, mayManageTeam, type TeamOwners } from "../../team-rights.ts";
import { oneTeamView, teamSettings } from "../../teams.ts";
import { lockTeam } from "./lock-team.ts";

export function blockTeam(context: RouteContext): ServiceImpl<typeof TeamService>["blockTeam"] {
  return ({ teamId }, { requestHeader }) => setBlocked(context, requireCaller(requestHeader), teamId, true);
}

export function unblockTeam(context: RouteContext): ServiceImpl<typeof TeamService>["unblockTeam"] {
  return ({ teamId }, { requestHeader }) => setBlocked(context, requireCaller(requestHeader), teamId, false);
}

export function addTeamModels(context: RouteContext): ServiceImpl<typeof TeamService>["addTeamModels"] {
  return ({ teamId, models }, { requestHeader }) =>
    changeSettings(context, requireCaller(requestHeader), teamId, isAbove, (settings) => {
      const kept = settings.models.filter((model) => model !== noModels);
      settings.models = readModels([...kept, ...requireModels(models)]);
    });
}

export function deleteTeamModels(context: RouteContext): ServiceImpl<typeof TeamService>["deleteTeamModels"] {
  return ({ teamId, models }, { requestHeader }) =>
    changeSettings(context, requireCaller(requestHeader), teamId, mayManageTeam, (settings) => {
      if (settings.models.length === 0) return;
      const kept = settings.models.filter((model) => !requireModels(models).includes(model));
      settings.models = kept.length > 0 ? kept : [noModels];
    });
}

export function updateTeamPermissions(context: RouteContext): ServiceImpl<typeof TeamService>["updateTeamPermissions"] {
  return ({ teamId, teamMemberPermissions }, { requestHeader }) =>
    changeSettings(context, requireCaller(requestHeader), teamId, mayManageTeam, (settings) => {
      settings.teamMemberPermissions = readPermissions(teamMemberPermissions);
    });
}

function setBlocked(context: RouteContext, caller: AdminCaller, teamId: string, blocked: boolean) {
  const action = blocked ? "blocked" : "unblocked";
  return changeSettings(
    context,
    caller,
    teamId,
    isAbove,
    (settings) => {
      settings.blocked = blocked;
    },
    action,
  );
}

/** Changes settings of one team, which still fits its organization afterwards. */
async function changeSettings(
  context: RouteContext,
  caller: AdminCaller,
  teamId: string,
  isAllowed: typeof mayManageTeam,
  apply: (settings: TeamSettings) => void,
  action: Changed["action"] = "updated",
): Promise<{ team: Team }> {
  const changed = await change(context, caller, async (em) => {
    const row = await lockTeam(em, caller, teamId, isAllowed);
    const settings = teamSettings(row);
    apply(settings);
    if (action === "updated") await requireFit(em, teamId, settings);
    em.assign(row, teamColumns(settings));
    touch(row, caller, new Date(context.clock()));
    return { result: row, changed: [{ scope: scopeOf.team(teamId), action }] };
  });
  return { team: await oneTeamView(context, changed) };
}

function isAbove(caller: AdminCaller, { organizationId }: TeamOwners): boolean {
  return isAboveTeam(caller, organizationId);
}

function requireModels(models: readonly string[]): readonly string[] {
  if (models.length > 0) return models;
  throw gatewayError(Reason.INVALID_REQUEST, "Name at least one model.", { param: "models" });
}
