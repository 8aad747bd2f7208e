import { type Implementation, implement } from "#chassis/service.ts";
import { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { addTeamMembers } from "./add-team-members.ts";
import { bulkAddTeamMembers } from "./bulk-add-team-members.ts";
import { addTeamModels, blockTeam, deleteTeamModels, unblockTeam, updateTeamPermissions } from "./change-team.ts";
import { deleteTeamMember, updateTeamMember } from "./change-team-member.ts";
import { createTeam } from "./create-team.ts";
import { deleteTeams } from "./delete-teams.ts";
import { listAvailableTeams, listTeams, searchTeams } from "./list-teams.ts";
import { getTeamInfo, getTeamPermissions } from "./read-team.ts";
import { updateTeam } from "./update-team.ts";

export function teamRoutes(context: RouteContext): Implementation {
  return implement(TeamService, {
    createTeam: createTeam(context),
    updateTeam: updateTeam(context),
    getTeamInfo: getTeamInfo(context),
    listTeams: listTeams(context),
    searchTeams: searchTeams(context),
    listAvailableTeams: listAvailableTeams(context),
    deleteTeams: deleteTeams(context),
    blockTeam: blockTeam(context),
    unblockTeam: unblockTeam(context),
    addTeamMembers: addTeamMembers(context),
    bulkAddTeamMembers: bulkAddTeamMembers(context),
    updateTeamMember: updateTeamMember(context),
    deleteTeamMember: deleteTeamMember(context),
    addTeamModels: addTeamModels(context),
    deleteTeamModels: deleteTeamModels(context),
    getTeamPermissions: getTeamPermissions(context),
    updateTeamPermissions: updateTeamPermissions(context),
  });
}
