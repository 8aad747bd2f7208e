import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";

/** Whose a key is. */
export interface KeyOwners {
  readonly keyId: string;
  readonly userId?: string | null | undefined;
  readonly teamId?: string | null | undefined;
  readonly organizationId?: string | null | undefined;
}

/**
 * Whether a caller may make, change and delete a key: a proxy admin any, an admin of its team or organization, and an
 * internal user a key of its own that is in no team.
 */
export function mayManageKey(caller: AdminCaller, key: KeyOwners): boolean {
  if (isProxyAdmin(caller)) return true;
  if (key.teamId && caller.adminTeamIds.includes(key.teamId)) return true;
  if (key.organizationId && caller.adminOrganizationIds.includes(key.organizationId)) return true;
  const isOwn = key.userId !== undefined && key.userId !== null && key.userId === caller.userId;
  return isOwn && !key.teamId && caller.roles.includes(Role.INTERNAL_USER);
}

/** Whether a caller may see a key: whoever may change it, who may read everything, its user, and the key itself. */
export function maySeeKey(caller: AdminCaller, key: KeyOwners): boolean {
  if (caller.keyId === key.keyId || mayManageKey(caller, key)) return true;
  if (caller.roles.includes(Role.PROXY_ADMIN_VIEWER)) return true;
  return caller.userId !== "" && key.userId === caller.userId;
}

/** @throws PERMISSION_DENIED, in the same words whether the key exists or not. */
export function requireKeyRight(allowed: boolean): void {
  if (!allowed) throw gatewayError(Reason.PERMISSION_DENIED, "You may not do this with this key.", { param: "key" });
}
