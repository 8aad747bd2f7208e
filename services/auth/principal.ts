import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import { type KeySettings, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { OrganizationMemberSettingsSchema, OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import { type Principal, PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import {
  type TeamMemberSettings,
  TeamMemberSettingsSchema,
  type TeamSettings,
  TeamSettingsSchema,
} from "#gen/sluice/auth/v1/team_pb.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import {
  type ModelRights,
  ModelRightsSchema,
  type ScopeLimits,
  ScopeLimitsSchema,
} from "#gen/sluice/inference/v1/limits_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { limitScopes, overlay, withBudget } from "./limit-scopes.ts";
import type { Lineage } from "./lineage.ts";
import { rolesOf } from "./roles.ts";
import { scopeOf } from "./scope.ts";
import { readDoc } from "./stored-doc.ts";
import { memberDefaults } from "./team-members.ts";

/** LiteLLM's words for every model there is, and for those of the key's team. */
const allModels = "all-proxy-models";
const teamModels = "all-team-models";

/**
 * The master key: every model and no limits. Its spend is recorded like any other's. `until` is when one that was replaced
 * stops working.
 */
export function masterPrincipal(keyId: string, until?: Date): Principal {
  return create(PrincipalSchema, {
    kind: CallerKind.MASTER,
    keyId,
    roles: [Role.PROXY_ADMIN, Role.KEY],
    scopes: [create(ScopeLimitsSchema, { scope: scopeOf.key(keyId) })],
    expiresAt: earliest(undefined, until),
  });
}

/** What the request path needs to know of a virtual key and of everybody above it. */
export function virtualPrincipal(lineage: Lineage, now: Date): Principal {
  const { key, team, user } = lineage;
  const settings = readDoc(KeySettingsSchema, key.doc);
  const teamSettings = team === null ? undefined : readDoc(TeamSettingsSchema, team.doc);
  return create(PrincipalSchema, {
    kind: CallerKind.VIRTUAL_KEY,
    keyId: key.keyId,
    keyAlias: key.keyAlias ?? "",
    userId: key.userId ?? "",
    teamId: key.teamId ?? "",
    organizationId: (team === null ? key.organizationId : team.organizationId) ?? "",
    projectId: key.projectId ?? "",
    models: keyModels(lineage, settings),
    rights: rightsAbove(lineage, teamSettings),
    aliases: { ...teamSettings?.modelAliases, ...settings.aliases },
    expiresAt: earliest(key.expiresAt, lineage.retiredUntil),
    blocked: isBlocked(lineage, settings, teamSettings),
    scopes: scopesOf(lineage, settings, teamSettings, now),
    metadata: settings.metadata ?? new Uint8Array(),
    roles: rolesOf(user, lineage),
    teamIds: lineage.memberships.map(({ teamId }) => teamId),
    adminTeamIds: lineage.memberships.filter(({ role }) => role === "admin").map(({ teamId }) => teamId),
    adminOrganizationIds: lineage.organizationMemberships
      .filter(({ role }) => role === "org_admin")
      .map(({ organizationId }) => organizationId),
    allowedRoutes: settings.allowedRoutes,
    tags: [...new Set([...settings.tags, ...(teamSettings?.tags ?? []), ...projectTags(lineage)])],
  });
}

function keyModels(lineage: Lineage, { models, accessGroupIds }: KeySettings): string[] {
  return expand(lineage, withGroups(lineage, models, accessGroupIds));
}

/** A list of models with those of groups added. Groups alone are a list too: no longer every model, but theirs. */
function withGroups({ accessGroups }: Lineage, models: readonly string[], groupIds: readonly string[]): string[] {
  const groups = accessGroups.filter(({ accessGroupId }) => groupIds.includes(accessGroupId));
  return [...models, ...groups.map(({ accessGroupName }) => accessGroupName)];
}

/** The names of a list of models: `all-proxy-models` is `*`, a group's name is its models, and `all-team-models` is left
 * to the team's own rights, which hold anyway. */
function expand({ accessGroups }: Lineage, models: readonly string[]): string[] {
  if (models.includes(teamModels)) return [];
  return models.flatMap((model) => {
    if (model === allModels) return ["*"];
    const group = accessGroups.find(({ accessGroupName }) => accessGroupName === model);
    return group === undefined ? [model] : readDoc(AccessGroupSettingsSchema, group.doc).accessModelNames;
  });
}

/** A team's key follows its team's and not its user's models; a user's, its user's. */
function rightsAbove(lineage: Lineage, teamSettings: TeamSettings | undefined): ModelRights[] {
  const { user, team, organization, project } = lineage;
  const levels: [level: string, models: readonly string[]][] = [];
  if (team !== null) {
    const ofTeam = withGroups(lineage, teamSettings?.models ?? [], teamSettings?.accessGroupIds ?? []);
    levels.push(["team", ofTeam], ["member", memberModels(lineage, teamSettings)]);
  } else if (user !== null) levels.push(["user", readDoc(UserSettingsSchema, user.doc).models]);
  if (project !== null) levels.push(["project", readDoc(ProjectSettingsSchema, project.doc).models]);
  if (organization !== null)
    levels.push(["organization", readDoc(OrganizationSettingsSchema, organization.doc).models]);
  return levels
    .map(([level, models]) => create(ModelRightsSchema, { level, models: expand(lineage, models) }))
    .filter(({ models }) => models.length > 0);
}

function memberModels(lineage: Lineage, teamSettings: TeamSettings | undefined): readonly string[] {
  const own = memberSettings(lineage)?.allowedModels ?? [];
  return own.length > 0 ? own : (teamSettings?.defaultTeamMemberModels ?? []);
}

/** The membership of the key's user in the key's team. */
function memberSettings({ key, memberships }: Lineage): TeamMemberSettings | undefined {
  const row = memberships.find(({ teamId }) => teamId === key.teamId);
  return row && readDoc(TeamMemberSettingsSchema, row.doc);
}

function isBlocked({ user, project }: Lineage, settings: KeySettings, team: TeamSettings | undefined): boolean {
  if (settings.blocked === true || team?.blocked === true) return true;
  if (user !== null && readDoc(UserSettingsSchema, user.doc).blocked === true) return true;
  return project !== null && readDoc(ProjectSettingsSchema, project.doc).blocked === true;
}

function projectTags({ project }: Lineage): readonly string[] {
  return project === null ? [] : readDoc(ProjectSettingsSchema, project.doc).tags;
}

/** Every level that the key's calls count against. A user's budget counts for keys in teams too. */
function scopesOf(lineage: Lineage, settings: KeySettings, team: TeamSettings | undefined, now: Date): ScopeLimits[] {
  const { key, user, organization, project, budgets } = lineage;
  const scopes = limitScopes(
    scopeOf.key(key.keyId),
    withIncrease(withBudget(settings.limits, budgets), settings, now),
    key.createdAt,
  );
  if (key.userId) {
    const limits = user === null ? undefined : readDoc(UserSettingsSchema, user.doc).limits;
    scopes.push(
      ...limitScopes(scopeOf.user(key.userId), withBudget(limits, budgets), user?.createdAt ?? key.createdAt),
    );
  }
  if (key.teamId) {
    const since = lineage.team?.createdAt ?? key.createdAt;
    scopes.push(...limitScopes(scopeOf.team(key.teamId), withBudget(team?.limits, budgets), since));
    if (key.userId)
      scopes.push(...limitScopes(scopeOf.member(key.teamId, key.userId), memberLimits(lineage, team), since));
  }
  if (project !== null) {
    const { limits } = readDoc(ProjectSettingsSchema, project.doc);
    scopes.push(...limitScopes(scopeOf.project(project.projectId), withBudget(limits, budgets), project.createdAt));
  }
  if (organization !== null) {
    const { organizationId, doc, createdAt } = organization;
    const { limits } = readDoc(OrganizationSettingsSchema, doc);
    scopes.push(...limitScopes(scopeOf.organization(organizationId), withBudget(limits, budgets), createdAt));
    scopes.push(...organizationMemberScopes(lineage, organizationId));
  }
  return scopes;
}

function organizationMemberScopes(lineage: Lineage, organizationId: string): ScopeLimits[] {
  const row = lineage.organizationMemberships.find((each) => each.organizationId === organizationId);
  if (row === undefined) return [];
  const { limits } = readDoc(OrganizationMemberSettingsSchema, row.doc);
  if (limits === undefined) return [];
  const scope = scopeOf.organizationMember(organizationId, row.userId);
  return limitScopes(scope, withBudget(limits, lineage.budgets), row.createdAt);
}

/** What the membership says, and the team's defaults for members where it says nothing. */
function memberLimits(lineage: Lineage, team: TeamSettings | undefined): Limits {
  const own = withBudget(memberSettings(lineage)?.limits, lineage.budgets);
  return own === undefined ? memberDefaults(team) : overlay(memberDefaults(team), own);
}

/** A temporary increase is part of the budget until it ends; the principal is read anew long before anybody notices. */
function withIncrease(limits: Limits | undefined, settings: KeySettings, now: Date): Limits | undefined {
  const { tempBudgetIncrease, tempBudgetExpiry } = settings;
  if (limits?.maxBudget === undefined || tempBudgetIncrease === undefined || tempBudgetExpiry === undefined) {
    return limits;
  }
  if (Number(tempBudgetExpiry.seconds) * 1000 <= now.getTime()) return limits;
  return create(LimitsSchema, { ...limits, maxBudget: limits.maxBudget + tempBudgetIncrease });
}

function earliest(expiresAt: Date | null | undefined, retiredUntil: Date | undefined) {
  const dates = [expiresAt, retiredUntil].filter((date) => date instanceof Date);
  if (dates.length === 0) return undefined;
  return timestampFromDate(new Date(Math.min(...dates.map((date) => date.getTime()))));
}
