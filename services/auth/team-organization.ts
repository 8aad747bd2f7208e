import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { type OrganizationSettings, OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import type { TeamSettings } from "#gen/sluice/auth/v1/team_pb.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { requireWithin } from "./allowance.ts";
import { AccessGroup, Organization, OrganizationMember, TeamMember, User } from "./db/entities.ts";
import { overlay } from "./limit-scopes.ts";
import { readDoc } from "./stored-doc.ts";
import { isAboveTeam, requireTeamRight } from "./team-rights.ts";

/**
 * Checks that a team's organization exists and allows what the team may: models, limits, and the sum of its teams' limits
 * where the team's are guaranteed.
 *
 * @throws INVALID_REQUEST where there is no such organization, the reason given where the team does not fit.
 */
export async function requireFit(
  em: SqlEntityManager,
  teamId: string,
  settings: TeamSettings,
  reason: Reason = Reason.INVALID_REQUEST,
): Promise<void> {
  const { organizationId } = settings;
  if (organizationId === undefined) return;
  const row = await em.findOne(Organization, { organizationId });
  if (row === null) {
    throw gatewayError(Reason.INVALID_REQUEST, `Organization not found: ${organizationId}.`, {
      param: "organization_id",
    });
  }
  const organization = readDoc(OrganizationSettingsSchema, row.doc);
  await requireWithin(em, organization, settings, { reason, of: "the organization" });
  await requireGuarantee(em, teamId, settings, organization, reason);
}

const guarantees = [
  ["rpm_limit", "rpmLimit", "rpmLimitType"],
  ["tpm_limit", "tpmLimit", "tpmLimitType"],
] as const;

/** A limit that is guaranteed is there even when every other team of the organization uses its own in full. */
async function requireGuarantee(
  em: SqlEntityManager,
  teamId: string,
  settings: TeamSettings,
  organization: OrganizationSettings,
  reason: Reason,
): Promise<void> {
  for (const [param, limit, type] of guarantees) {
    const most = organization.limits?.[limit];
    const own = settings.limits?.[limit];
    if (settings[type] !== "guaranteed_throughput" || most === undefined || own === undefined) continue;
    const [others] = await em.execute(
      `select coalesce(sum((doc -> 'limits' ->> '${limit}')::numeric), 0)::text as taken from auth.team
        where organization_id = ? and team_id <> ?`,
      [settings.organizationId ?? "", teamId],
    );
    if (BigInt(String(others?.taken ?? 0)) + own <= most) continue;
    throw gatewayError(reason, `${param} cannot be guaranteed: the teams of the organization have ${most} together.`, {
      param,
    });
  }
}

/** @throws PERMISSION_DENIED where somebody in a team is not in the organization that it moves to. */
export async function requireMembersIn(em: SqlEntityManager, teamId: string, organizationId: string): Promise<void> {
  const members = (await em.find(TeamMember, { teamId })).map(({ userId }) => userId);
  const inside = await em.find(OrganizationMember, { organizationId, userId: { $in: members } });
  const found = new Set(inside.map(({ userId }) => userId));
  const missing = members.find((userId) => !found.has(userId));
  if (missing === undefined) return;
  throw gatewayError(Reason.PERMISSION_DENIED, `The member '${missing}' is not in the organization.`, {
    param: "organization_id",
  });
}

/**
 * Fits the team of an internal user to what the user may: what it leaves open follows the user's own limits, and more than
 * those is refused. Others make teams as they like.
 */
export async function capByCreator(em: SqlEntityManager, caller: AdminCaller, settings: TeamSettings): Promise<void> {
  if (isAboveTeam(caller, settings.organizationId) || !caller.roles.includes(Role.INTERNAL_USER)) return;
  requireTeamRight(settings.accessGroupIds.length === 0, "access_group_ids");
  requireTeamRight(settings.limits?.budgetId === undefined, "budget_id");
  const row = await em.findOne(User, { userId: caller.userId });
  const own = row === null ? create(UserSettingsSchema) : readDoc(UserSettingsSchema, row.doc);
  await requireWithin(em, own, settings, { reason: Reason.PERMISSION_DENIED, of: "your own user" });
  if (settings.models.length === 0) settings.models = own.models;
  const { maxBudget, budgetDuration, tpmLimit, rpmLimit } = own.limits ?? {};
  const isBudgeted = settings.limits?.maxBudget !== undefined;
  const inherited = isBudgeted ? { tpmLimit, rpmLimit } : { maxBudget, budgetDuration, tpmLimit, rpmLimit };
  settings.limits = overlay(create(LimitsSchema, inherited), settings.limits ?? create(LimitsSchema));
}

/** @throws INVALID_REQUEST where a team should get a group that is not there. */
export async function requireGroups(em: SqlEntityManager, accessGroupIds: readonly string[]): Promise<void> {
  if (accessGroupIds.length === 0) return;
  const found = await em.count(AccessGroup, { accessGroupId: { $in: [...accessGroupIds] } });
  if (found === accessGroupIds.length) return;
  throw gatewayError(Reason.INVALID_REQUEST, "access_group_ids holds an id that nothing has.", {
    param: "access_group_ids",
  });
}
