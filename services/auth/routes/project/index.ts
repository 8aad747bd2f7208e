import { type Implementation, implement } from "#chassis/service.ts";
import { ProjectService } from "#gen/sluice/auth/v1/project_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { createProject, deleteProjects, updateProject } from "./change-project.ts";
import { getProject, listProjects } from "./read-projects.ts";

export function projectRoutes(context: RouteContext): Implementation {
  return implement(ProjectService, {
    createProject: createProject(context),
    updateProject: updateProject(context),
    getProject: getProject(context),
    listProjects: listProjects(context),
    deleteProjects: deleteProjects(context),
  });
}
