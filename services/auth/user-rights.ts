import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { OrganizationMember } from "./db/entities.ts";

/**
 * Whether a caller may change whatever it likes of these users: a proxy admin, or an admin of every organization that each
 * is in. One of them is not enough: who takes somebody into its own has no say in the others.
 */
export async function mayManageUsers(
  em: SqlEntityManager,
  caller: AdminCaller,
  userIds: readonly string[],
): Promise<boolean> {
  if (isProxyAdmin(caller)) return true;
  if (caller.adminOrganizationIds.length === 0 || userIds.length === 0) return false;
  const found = Map.groupBy(
    await em.find(OrganizationMember, { userId: { $in: [...userIds] } }),
    ({ userId }) => userId,
  );
  return userIds.every((userId) =>
    found.get(userId)?.every(({ organizationId }) => caller.adminOrganizationIds.includes(organizationId)),
  );
}

/**
 * Whether a caller may see a user: who may read everything, an admin of an organization that the user is in, and the user
 * itself.
 */
export async function maySeeUser(em: SqlEntityManager, caller: AdminCaller, userId: string): Promise<boolean> {
  if (isProxyAdmin(caller) || caller.roles.includes(Role.PROXY_ADMIN_VIEWER)) return true;
  if (userId !== "" && caller.userId === userId) return true;
  if (caller.adminOrganizationIds.length === 0) return false;
  return (await em.count(OrganizationMember, { userId, organizationId: { $in: caller.adminOrganizationIds } })) > 0;
}

/** @throws PERMISSION_DENIED, in the same words whether the user exists or not. */
export function requireUserRight(allowed: boolean, param = "user_id"): void {
  if (!allowed) throw gatewayError(Reason.PERMISSION_DENIED, "You may not do this with this user.", { param });
}

const adminRoles: ReadonlySet<string> = new Set(["proxy_admin", "proxy_admin_viewer"]);

/** Whether a role reaches beyond organizations, so that only a proxy admin may give or take it. */
export function isProxyRole(userRole: string | undefined): boolean {
  return userRole !== undefined && adminRoles.has(userRole);
}
