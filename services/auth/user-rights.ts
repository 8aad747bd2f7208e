import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { OrganizationMember } from "./db/entities.ts";

/** Whether a caller may change whatever it likes of these users: a proxy admin, or an admin of an organization of each. */
export async function mayManageUsers(
  em: SqlEntityManager,
  caller: AdminCaller,
  userIds: readonly string[],
): Promise<boolean> {
  if (isProxyAdmin(caller)) return true;
  if (caller.adminOrganizationIds.length === 0 || userIds.length === 0) return false;
  const found = await em.find(OrganizationMember, {
    userId: { $in: [...userIds] },
    organizationId: { $in: caller.adminOrganizationIds },
  });
  const members = new Set(found.map(({ userId }) => userId));
  return userIds.every((userId) => members.has(userId));
}

/** Whether a caller may see a user: whoever may change it, who may read everything, and the user itself. */
export async function maySeeUser(em: SqlEntityManager, caller: AdminCaller, userId: string): Promise<boolean> {
  if (caller.roles.includes(Role.PROXY_ADMIN_VIEWER) || (userId !== "" && caller.userId === userId)) return true;
  return mayManageUsers(em, caller, [userId]);
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
