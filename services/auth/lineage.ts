import type { Database } from "#chassis/database/database.ts";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import type { Limits } from "#gen/sluice/auth/v1/limits_pb.ts";
import { OrganizationMemberSettingsSchema, OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import { ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import { TeamMemberSettingsSchema, TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import {
  AccessGroup,
  type AccessGroupRow,
  Budget,
  type BudgetRow,
  Organization,
  OrganizationMember,
  type OrganizationMemberRow,
  type OrganizationRow,
  Project,
  type ProjectRow,
  Team,
  TeamMember,
  type TeamMemberRow,
  type TeamRow,
  User,
  type UserRow,
} from "./db/entities.ts";
import type { FoundKey } from "./key-finder.ts";
import { readDoc } from "./stored-doc.ts";

/** A key with everybody above it, and the named things that they refer to. */
export interface Lineage extends FoundKey {
  readonly user: UserRow | null;
  readonly team: TeamRow | null;
  readonly organization: OrganizationRow | null;
  readonly project: ProjectRow | null;
  /** The user's places in teams. */
  readonly memberships: readonly TeamMemberRow[];
  /** The user's places in organizations. */
  readonly organizationMemberships: readonly OrganizationMemberRow[];
  readonly budgets: ReadonlyMap<string, BudgetRow>;
  readonly accessGroups: readonly AccessGroupRow[];
}

/** Reads everybody above a key, in at most three rounds of questions. */
export async function loadLineage(database: Database, found: FoundKey): Promise<Lineage> {
  const { key } = found;
  const [user, memberships, organizationMemberships, team, project] = await Promise.all([
    key.userId ? database.em().findOne(User, { userId: key.userId }) : null,
    key.userId ? database.em().find(TeamMember, { userId: key.userId }) : [],
    key.userId ? database.em().find(OrganizationMember, { userId: key.userId }) : [],
    key.teamId ? database.em().findOne(Team, { teamId: key.teamId }) : null,
    key.projectId ? database.em().findOne(Project, { projectId: key.projectId }) : null,
  ]);
  const organizationId = team === null ? key.organizationId : team.organizationId;
  const organization = organizationId ? await database.em().findOne(Organization, { organizationId }) : null;
  const partial = { ...found, user, team, organization, project, memberships, organizationMemberships };
  const [budgets, accessGroups] = await Promise.all([
    findBudgets(database, budgetIds(partial)),
    findAccessGroups(database, partial),
  ]);
  return { ...partial, budgets, accessGroups };
}

type WithoutNamed = Omit<Lineage, "budgets" | "accessGroups">;

function budgetIds(lineage: WithoutNamed): string[] {
  const limits: (Limits | undefined)[] = [readDoc(KeySettingsSchema, lineage.key.doc).limits];
  if (lineage.user) limits.push(readDoc(UserSettingsSchema, lineage.user.doc).limits);
  if (lineage.team) limits.push(readDoc(TeamSettingsSchema, lineage.team.doc).limits);
  if (lineage.organization) limits.push(readDoc(OrganizationSettingsSchema, lineage.organization.doc).limits);
  if (lineage.project) limits.push(readDoc(ProjectSettingsSchema, lineage.project.doc).limits);
  for (const { doc } of lineage.memberships) limits.push(readDoc(TeamMemberSettingsSchema, doc).limits);
  for (const { doc } of lineage.organizationMemberships) {
    limits.push(readDoc(OrganizationMemberSettingsSchema, doc).limits);
  }
  return limits.flatMap((each) => each?.budgetId ?? []);
}

async function findBudgets(database: Database, ids: readonly string[]): Promise<Map<string, BudgetRow>> {
  const rows = ids.length === 0 ? [] : await database.em().find(Budget, { budgetId: { $in: [...new Set(ids)] } });
  return new Map(rows.map((row) => [row.budgetId, row]));
}

/** Groups that a list of models names, or that are assigned to the key or its team. */
async function findAccessGroups(database: Database, lineage: WithoutNamed) {
  const { key, team, user, organization, project, memberships } = lineage;
  const settings = readDoc(KeySettingsSchema, key.doc);
  const teamSettings = team === null ? undefined : readDoc(TeamSettingsSchema, team.doc);
  const names = [
    ...settings.models,
    ...(teamSettings?.models ?? []),
    ...(teamSettings?.defaultTeamMemberModels ?? []),
    ...memberships.flatMap(({ doc }) => readDoc(TeamMemberSettingsSchema, doc).allowedModels),
    ...(user === null ? [] : readDoc(UserSettingsSchema, user.doc).models),
    ...(organization === null ? [] : readDoc(OrganizationSettingsSchema, organization.doc).models),
    ...(project === null ? [] : readDoc(ProjectSettingsSchema, project.doc).models),
  ].filter((name) => !name.includes("*"));
  const ids = [...settings.accessGroupIds, ...(teamSettings?.accessGroupIds ?? [])];
  if (names.length === 0 && ids.length === 0) return [];
  return database
    .em()
    .find(AccessGroup, { $or: [{ accessGroupName: { $in: names } }, { accessGroupId: { $in: ids } }] });
}
