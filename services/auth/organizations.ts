import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { OrganizationMemberSettingsSchema, OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import {
  type OrganizationMembership,
  OrganizationMembershipSchema,
  type Organization as OrganizationMessage,
  OrganizationSchema,
} from "#gen/sluice/auth/v1/organization_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { budgetsOf, limitsView } from "./budgets.ts";
import type { RouteContext } from "./context.ts";
import {
  Organization,
  OrganizationMember,
  type OrganizationMemberRow,
  type OrganizationRow,
  Team,
  User,
} from "./db/entities.ts";
import type { Kind } from "./kind.ts";
import { scopeOf } from "./scope.ts";
import { nothingSpent, spentBy } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";
import { isBounded } from "./team-members.ts";
import { teamViews } from "./teams.ts";

export const organizationKind: Kind<OrganizationRow, typeof OrganizationSettingsSchema> = {
  label: "Organization",
  param: "organization_id",
  entity: Organization,
  settings: OrganizationSettingsSchema,
  where: (ids) => ({ organizationId: { $in: [...ids] } }),
};

/** So many members and teams are shown of an organization. */
const mostShown = 1000;
const emptyObject = Buffer.from("{}");

/** Organizations as an administrator sees them, with members and teams, and what all of them spent. */
export async function organizationViews(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly OrganizationRow[],
): Promise<OrganizationMessage[]> {
  const settings = rows.map(({ doc }) => readDoc(OrganizationSettingsSchema, doc));
  const budgets = await budgetsOf(
    em,
    settings.map(({ limits }) => limits),
  );
  const members = Map.groupBy(await membersShown(context, em, rows), ({ organizationId }) => organizationId);
  const teams = Map.groupBy(await teamsShown(context, em, rows), (team) => team.settings?.organizationId);
  const spends = await spentBy(
    context,
    rows.map(({ organizationId }) => scopeOf.organization(organizationId)),
  );
  return rows.map((row, at) => {
    const { organizationId, createdBy, updatedBy, version } = row;
    const own = settings[at] ?? create(OrganizationSettingsSchema);
    own.metadata ??= emptyObject;
    const { spent, resetsAt } = spends[at] ?? nothingSpent;
    return create(OrganizationSchema, {
      organizationId,
      settings: own,
      spend: spent,
      budgetResetAt: resetsAt,
      litellmBudgetTable: limitsView(own.limits, budgets),
      members: members.get(organizationId) ?? [],
      teams: teams.get(organizationId) ?? [],
      createdBy,
      updatedBy,
      createdAt: timestampFromDate(row.createdAt),
      updatedAt: timestampFromDate(row.updatedAt),
      version,
    });
  });
}

/** The same of one organization, as it is now. Not within a transaction: accounting may have to wait for that to end. */
export async function oneOrganizationView(context: RouteContext, row: OrganizationRow): Promise<OrganizationMessage> {
  const [view] = await organizationViews(context, context.database.em(), [row]);
  return view ?? create(OrganizationSchema);
}

/** Memberships as an administrator sees them. */
export async function organizationMembershipViews(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly OrganizationMemberRow[],
): Promise<OrganizationMembership[]> {
  const users = await em.find(User, { userId: { $in: rows.map(({ userId }) => userId) } });
  const addresses = new Map(users.map(({ userId, userEmail }) => [userId, userEmail ?? undefined]));
  const settings = rows.map(({ doc }) => readDoc(OrganizationMemberSettingsSchema, doc));
  const budgets = await budgetsOf(
    em,
    settings.map(({ limits }) => limits),
  );
  const spends = await spentBy(
    context,
    rows.map(({ organizationId, userId }) => scopeOf.organizationMember(organizationId, userId)),
  );
  return rows.map(({ userId, organizationId, role, createdAt, updatedAt }, at) => {
    const limits = settings[at]?.limits;
    return create(OrganizationMembershipSchema, {
      userId,
      userEmail: addresses.get(userId),
      organizationId,
      userRole: role,
      spend: spends[at]?.spent ?? 0n,
      budgetId: limits?.budgetId,
      litellmBudgetTable: limits !== undefined && isBounded(limits) ? limitsView(limits, budgets) : undefined,
      createdAt: timestampFromDate(createdAt),
      updatedAt: timestampFromDate(updatedAt),
    });
  });
}

async function membersShown(context: RouteContext, em: SqlEntityManager, rows: readonly OrganizationRow[]) {
  const found = await firstOf(em, rows, "organization_member", "user_id", "created_at, user_id");
  const where = { $or: found.map(({ of, id }) => ({ organizationId: of, userId: id })) };
  const orderBy = { createdAt: "asc", userId: "asc" } as const;
  return organizationMembershipViews(
    context,
    em,
    found.length === 0 ? [] : await em.find(OrganizationMember, where, { orderBy }),
  );
}

async function teamsShown(context: RouteContext, em: SqlEntityManager, rows: readonly OrganizationRow[]) {
  const found = await firstOf(em, rows, "team", "team_id", "team_alias, team_id");
  const orderBy = { teamAlias: "asc", teamId: "asc" } as const;
  return teamViews(context, em, await em.find(Team, { teamId: { $in: found.map(({ id }) => id) } }, { orderBy }));
}

/** The first rows of each organization: no answer grows without bound. */
async function firstOf(
  em: SqlEntityManager,
  rows: readonly OrganizationRow[],
  table: "organization_member" | "team",
  id: "user_id" | "team_id",
  order: string,
): Promise<{ of: string; id: string }[]> {
  if (rows.length === 0) return [];
  const found = await em.execute(
    `select o.id as of, t.${id} as id from (values ${rows.map(() => "(?)").join(", ")}) as o (id)
      cross join lateral (select ${id} from auth.${table} where organization_id = o.id
        order by ${order} limit ${mostShown}) t`,
    rows.map(({ organizationId }) => organizationId),
  );
  return found.map((row) => ({ of: String(row.of), id: String(row.id) }));
}

/** Whether a caller may manage who is in an organization: a proxy admin, and its own admins. */
export function mayManageOrganization(caller: AdminCaller, organizationId: string): boolean {
  return isProxyAdmin(caller) || caller.adminOrganizationIds.includes(organizationId);
}

/** Whether a caller may read every organization. */
export function readsAll(caller: AdminCaller): boolean {
  return caller.roles.some((role) => role === Role.PROXY_ADMIN || role === Role.PROXY_ADMIN_VIEWER);
}

/** @throws PERMISSION_DENIED, in the same words whether the organization exists or not. */
export function requireOrganizationRight(allowed: boolean, param = "organization_id"): void {
  if (!allowed) throw gatewayError(Reason.PERMISSION_DENIED, "You may not do this with this organization.", { param });
}

const memberRoles: readonly string[] = ["org_admin", "internal_user", "internal_user_viewer"];

/** A member's role in one form; empty means `internal_user`. @throws INVALID_REQUEST where there is no such role. */
export function readOrganizationRole(role: string | undefined): string {
  if (role === undefined || role === "") return "internal_user";
  if (memberRoles.includes(role)) return role;
  throw gatewayError(Reason.INVALID_REQUEST, `role must be one of ${memberRoles.join(", ")}.`, { param: "role" });
}
