import type { ServiceImpl } from "@connectrpc/connect";
import type { FilterQuery } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import type { ProjectService } from "#gen/sluice/auth/v1/project_service_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { Project, type ProjectRow, Team } from "../../db/entities.ts";
import { notFound, requireId } from "../../kind.ts";
import { readsAll } from "../../organizations.ts";
import { readPage } from "../../page.ts";
import { oneProject, projectKind, projectViews, teamsOf } from "../../projects.ts";
import { maySeeTeam, requireTeamRight } from "../../team-rights.ts";

export function getProject(context: RouteContext): ServiceImpl<typeof ProjectService>["getProject"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const projectId = requireId(projectKind, request.projectId);
    try {
      const em = context.database.em();
      const row = await em.findOne(Project, { projectId });
      const teams = await teamsOf(em, row === null ? [] : [row]);
      requireTeamRight(maySeeTeam(caller, teams.get(row?.teamId ?? "") ?? { teamId: "" }), projectKind.param);
      if (row === null) throw notFound(projectKind, [projectId]);
      return await oneProject(context, row);
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function listProjects(context: RouteContext): ServiceImpl<typeof ProjectService>["listProjects"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { limit, offset } = readPage(request.page, request.pageSize, 1000, 1000);
    try {
      const em = context.database.em();
      const orderBy = { createdAt: "desc", projectId: "asc" } as const;
      const rows = await em.find(Project, await seenBy(em, caller), { limit, offset, orderBy });
      return { projects: await projectViews(context, em, rows) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

/** Projects of the teams that the caller sees. */
async function seenBy(em: SqlEntityManager, caller: AdminCaller): Promise<FilterQuery<ProjectRow>> {
  if (readsAll(caller)) return {};
  const ofOrganizations = await em.find(Team, { organizationId: { $in: caller.adminOrganizationIds } });
  const own = caller.teamId === "" ? [] : [caller.teamId];
  return { teamId: { $in: [...own, ...caller.teamIds, ...ofOrganizations.map(({ teamId }) => teamId)] } };
}
