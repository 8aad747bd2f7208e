import { randomUUID } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import type { ProjectService } from "#gen/sluice/auth/v1/project_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { requireBudget } from "../../budgets.ts";
import { type Changed, change, createdBy, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { Project, type ProjectRow, VirtualKey } from "../../db/entities.ts";
import { insertThing, notFound, requireId } from "../../kind.ts";
import {
  oneProject,
  projectColumns,
  projectKind,
  projectViews,
  readProjectSettings,
  requireTeamOf,
  teamsOf,
} from "../../projects.ts";
import { scopeOf } from "../../scope.ts";
import { patch, pathsUnder, readDoc } from "../../stored-doc.ts";
import { mayManageTeam, requireTeamRight } from "../../team-rights.ts";
import { requireVersion } from "../../version.ts";

export function createProject(context: RouteContext): ServiceImpl<typeof ProjectService>["createProject"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const settings = readProjectSettings(request.settings);
    const made = await change(context, caller, async (em) => {
      await requireTeamOf(em, caller, settings);
      await requireBudget(em, settings.limits);
      const row: ProjectRow = {
        projectId: request.projectId || randomUUID(),
        ...projectColumns(settings),
        ...createdBy(caller, new Date(context.clock())),
      };
      await insertThing(em, projectKind, row);
      return { result: row, changed: [{ scope: scopeOf.project(row.projectId), action: "created" }] };
    });
    return oneProject(context, made);
  };
}

export function updateProject(context: RouteContext): ServiceImpl<typeof ProjectService>["updateProject"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const projectId = requireId(projectKind, request.projectId);
    const changed = await change(context, caller, async (em) => {
      const [row] = await lockProjects(em, caller, [projectId]);
      if (row === undefined) throw notFound(projectKind, [projectId]);
      requireVersion(row.version, request.version);
      const before = readDoc(ProjectSettingsSchema, row.doc);
      const paths = pathsUnder("settings", request.updateMask?.paths);
      const settings = readProjectSettings(patch(ProjectSettingsSchema, before, request.settings, paths));
      await requireTeamOf(em, caller, settings);
      await requireBudget(em, settings.limits);
      em.assign(row, projectColumns(settings));
      touch(row, caller, new Date(context.clock()));
      return { result: row, changed: [{ scope: scopeOf.project(projectId), action: "updated" }] };
    });
    return oneProject(context, changed);
  };
}

export function deleteProjects(context: RouteContext): ServiceImpl<typeof ProjectService>["deleteProjects"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const ids = [...new Set(request.projectIds)].toSorted();
    const param = "project_ids";
    if (ids.length === 0) throw gatewayError(Reason.INVALID_REQUEST, "Name the projects.", { param });
    const deleted = await change(context, caller, async (em) => {
      const rows = await lockProjects(em, caller, ids, param);
      const [key] = await em.find(VirtualKey, { projectId: { $in: ids } }, { limit: 1 });
      if (key !== undefined) {
        const message = `Project ${key.projectId} has keys. Delete them or take them out of the project first.`;
        throw gatewayError(Reason.INVALID_REQUEST, message, { param });
      }
      await em.nativeDelete(Project, projectKind.where(ids));
      const changed = ids.map((id): Changed => ({ scope: scopeOf.project(id), action: "deleted" }));
      return { result: rows, changed };
    });
    return { projects: await projectViews(context, context.database.em(), deleted) };
  };
}

/** Locks projects that the caller may change. */
async function lockProjects(
  em: SqlEntityManager,
  caller: AdminCaller,
  ids: readonly string[],
  param = projectKind.param,
): Promise<ProjectRow[]> {
  const options = { orderBy: { projectId: "asc" }, lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  const rows = await em.find(Project, projectKind.where(ids), options);
  const teams = await teamsOf(em, rows);
  for (const { teamId } of rows) {
    requireTeamRight(mayManageTeam(caller, teams.get(teamId ?? "") ?? { teamId: "" }), param);
  }
  const missing = ids.filter((id) => !rows.some(({ projectId }) => projectId === id));
  if (missing.length === 0) return rows;
  requireTeamRight(mayManageTeam(caller, { teamId: "" }), param);
  throw notFound({ ...projectKind, param }, missing);
}
