import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { Team } from "../../db/entities.ts";
import { notFound } from "../../kind.ts";
import { removeTeams } from "../../team-removal.ts";
import { mayManageTeam, requireTeamRight } from "../../team-rights.ts";
import { teamKind } from "../../teams.ts";

export function deleteTeams(context: RouteContext): ServiceImpl<typeof TeamService>["deleteTeams"] {
  const kind = { ...teamKind, param: "team_ids" };
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const deletedTeams = [...new Set(request.teamIds)].toSorted();
    if (deletedTeams.length === 0) {
      throw gatewayError(Reason.INVALID_REQUEST, "Name the teams.", { param: kind.param });
    }
    await change(context, caller, async (em) => {
      const options = { orderBy: { teamId: "asc" }, lockMode: LockMode.PESSIMISTIC_WRITE } as const;
      const rows = await em.find(Team, kind.where(deletedTeams), options);
      const missing = deletedTeams.filter((id) => !rows.some(({ teamId }) => teamId === id));
      for (const team of [...rows, ...missing.map((teamId) => ({ teamId }))]) {
        requireTeamRight(mayManageTeam(caller, team), kind.param);
      }
      if (missing.length > 0) throw notFound(kind, missing);
      const changed = await removeTeams(em, caller, deletedTeams, new Date(context.clock()));
      return { result: undefined, changed };
    });
    return { deletedTeams };
  };
}
