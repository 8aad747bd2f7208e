import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";

/** Whose a team is. */
export interface TeamOwners {
  readonly teamId: string;
  readonly organizationId?: string | null | undefined;
}

/** Whether a caller stands above a team: a proxy admin, or an admin of its organization. It decides what the team may. */
export function isAboveTeam(caller: AdminCaller, organizationId: string | null | undefined): boolean {
  if (isProxyAdmin(caller)) return true;
  return Boolean(organizationId) && caller.adminOrganizationIds.includes(organizationId ?? "");
}

/** Whether a caller may manage a team's members and keys: whoever stands above it, and its own admins. */
export function mayManageTeam(caller: AdminCaller, { teamId, organizationId }: TeamOwners): boolean {
  return isAboveTeam(caller, organizationId) || caller.adminTeamIds.includes(teamId);
}

/** Whether a caller may see a team: whoever may change it, who may read everything, its members and its keys. */
export function maySeeTeam(caller: AdminCaller, team: TeamOwners): boolean {
  if (mayManageTeam(caller, team) || caller.roles.includes(Role.PROXY_ADMIN_VIEWER)) return true;
  return caller.teamIds.includes(team.teamId) || (team.teamId !== "" && caller.teamId === team.teamId);
}

/** Whether a caller may make a team: an internal user one without an organization, else whoever stands above it. */
export function mayCreateTeam(caller: AdminCaller, organizationId: string | undefined): boolean {
  if (isAboveTeam(caller, organizationId)) return true;
  return organizationId === undefined && caller.userId !== "" && caller.roles.includes(Role.INTERNAL_USER);
}

/** @throws PERMISSION_DENIED, in the same words whether the team exists or not. */
export function requireTeamRight(allowed: boolean, param = "team_id"): void {
  if (!allowed) throw gatewayError(Reason.PERMISSION_DENIED, "You may not do this with this team.", { param });
}
