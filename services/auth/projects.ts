import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { type ProjectSettings, ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import { type Project as ProjectMessage, ProjectSchema } from "#gen/sluice/auth/v1/project_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { requireWithin } from "./allowance.ts";
import { budgetsOf, limitsView } from "./budgets.ts";
import type { RouteContext } from "./context.ts";
import { AccessGroup, Project, type ProjectRow, Team, type TeamRow } from "./db/entities.ts";
import type { Kind } from "./kind.ts";
import { scopeOf } from "./scope.ts";
import { nothingSpent, spentBy } from "./scope-spend.ts";
import { readDoc, writeDoc } from "./stored-doc.ts";
import { readModels } from "./team-input.ts";
import { mayManageTeam, requireTeamRight } from "./team-rights.ts";
import { teamSettings } from "./teams.ts";

export const projectKind: Kind<ProjectRow, typeof ProjectSettingsSchema> = {
  label: "Project",
  param: "project_id",
  entity: Project,
  settings: ProjectSettingsSchema,
  where: (ids) => ({ projectId: { $in: [...ids] } }),
};

const emptyObject = Buffer.from("{}");

/** Projects as an administrator sees them, with what they spent. */
export async function projectViews(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly ProjectRow[],
): Promise<ProjectMessage[]> {
  const settings = rows.map(({ doc }) => readDoc(ProjectSettingsSchema, doc));
  const budgets = await budgetsOf(
    em,
    settings.map(({ limits }) => limits),
  );
  const spends = await spentBy(
    context,
    rows.map(({ projectId }) => scopeOf.project(projectId)),
  );
  return rows.map((row, at) => {
    const own = settings[at] ?? create(ProjectSettingsSchema);
    own.metadata ??= emptyObject;
    own.blocked ??= false;
    const { spent, resetsAt } = spends[at] ?? nothingSpent;
    return create(ProjectSchema, {
      projectId: row.projectId,
      settings: own,
      spend: spent,
      budgetResetAt: resetsAt,
      litellmBudgetTable: limitsView(own.limits, budgets),
      createdBy: row.createdBy,
      updatedBy: row.updatedBy,
      createdAt: timestampFromDate(row.createdAt),
      updatedAt: timestampFromDate(row.updatedAt),
      version: row.version,
    });
  });
}

/** The same of one project. Not within a transaction: accounting may have to wait for that to end. */
export async function oneProject(context: RouteContext, row: ProjectRow): Promise<{ project?: ProjectMessage }> {
  const [project] = await projectViews(context, context.database.em(), [row]);
  return project === undefined ? {} : { project };
}

/** The settings of a project in one form: no text is empty. @throws INVALID_REQUEST where the team is missing. */
export function readProjectSettings(given: ProjectSettings | undefined): ProjectSettings & { teamId: string } {
  const settings = given ?? create(ProjectSettingsSchema);
  settings.models = readModels(settings.models);
  if (settings.metadata?.length === 0) delete settings.metadata;
  if (settings.projectAlias === "") delete settings.projectAlias;
  const { teamId } = settings;
  if (!teamId) throw gatewayError(Reason.INVALID_REQUEST, "team_id is required.", { param: "team_id" });
  return { ...settings, teamId };
}

/** The columns of a project's row that its settings decide. */
export function projectColumns(settings: ProjectSettings) {
  return {
    projectAlias: settings.projectAlias ?? null,
    teamId: settings.teamId ?? null,
    doc: writeDoc(ProjectSettingsSchema, settings),
  } satisfies Partial<ProjectRow>;
}

/**
 * Checks that the caller manages a project's team, and that the team allows what the project may.
 *
 * @throws PERMISSION_DENIED, INVALID_REQUEST
 */
export async function requireTeamOf(
  em: SqlEntityManager,
  caller: AdminCaller,
  settings: ProjectSettings & { teamId: string },
): Promise<void> {
  const { teamId } = settings;
  const row = await em.findOne(Team, { teamId });
  requireTeamRight(mayManageTeam(caller, row ?? { teamId }));
  if (row === null) throw gatewayError(Reason.INVALID_REQUEST, `Team not found: ${teamId}.`, { param: "team_id" });
  await requireWithin(em, await allowanceOf(em, row), settings, { reason: Reason.INVALID_REQUEST, of: "the team" });
}

async function allowanceOf(em: SqlEntityManager, row: TeamRow) {
  const { models, limits, accessGroupIds } = teamSettings(row);
  if (accessGroupIds.length === 0) return { models, limits };
  const groups = await em.find(AccessGroup, { accessGroupId: { $in: accessGroupIds } });
  return { models: [...models, ...groups.map(({ accessGroupName }) => accessGroupName)], limits };
}

/** The teams of projects, by id: they decide who may see and change a project. */
export async function teamsOf(em: SqlEntityManager, rows: readonly ProjectRow[]): Promise<Map<string, TeamRow>> {
  const teamIds = rows.flatMap(({ teamId }) => teamId ?? []);
  const teams = teamIds.length === 0 ? [] : await em.find(Team, { teamId: { $in: teamIds } });
  return new Map(teams.map((team) => [team.teamId, team]));
}
