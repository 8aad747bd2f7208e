import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { Team } from "./db/entities.ts";
import { readDoc } from "./stored-doc.ts";

/** Whose a key is. */
export interface KeyOwners {
  readonly keyId: string;
  readonly userId?: string | null | undefined;
  readonly teamId?: string | null | undefined;
  readonly organizationId?: string | null | undefined;
}

/** What a team may let its plain members do with its keys: LiteLLM's paths, each with its other spelling if it has one. */
const memberPaths = {
  generate: ["/key/generate"],
  generateServiceAccount: ["/key/service-account/generate"],
  update: ["/key/update"],
  bulkUpdate: ["/key/bulk_update"],
  delete: ["/key/delete"],
  regenerate: ["/key/regenerate", "/key/{key_id}/regenerate", "/key/{key}/regenerate"],
  block: ["/key/block"],
  unblock: ["/key/unblock"],
  resetSpend: ["/key/{key_id}/reset_spend", "/key/{key}/reset_spend"],
  info: ["/key/info"],
  list: ["/key/list"],
} as const satisfies Record<string, readonly string[]>;

export type KeyAction = keyof typeof memberPaths;

/** What members may do in a team that says nothing about it. */
const usualPaths: readonly string[] = ["/key/info", "/key/health"];

/** Teams whose plain members may do one thing with the keys of the team. */
export type PermittedTeams = ReadonlySet<string>;

const none: PermittedTeams = new Set();

/**
 * The teams of a caller that let it, as a plain member, do something with their keys.
 *
 * @param among The teams in question; undefined means all.
 */
export async function permittedTeams(
  em: SqlEntityManager,
  caller: AdminCaller,
  action: KeyAction,
  among?: readonly (string | null | undefined)[],
): Promise<PermittedTeams> {
  const plain = caller.teamIds.filter((teamId) => !caller.adminTeamIds.includes(teamId));
  const teamIds = among === undefined ? plain : plain.filter((teamId) => among.includes(teamId));
  if (isProxyAdmin(caller) || teamIds.length === 0) return none;
  const paths: readonly string[] = memberPaths[action];
  const rows = await em.find(Team, { teamId: { $in: teamIds } });
  const permitted = rows.filter(({ doc }) => {
    const { teamMemberPermissions } = readDoc(TeamSettingsSchema, doc);
    const given = teamMemberPermissions.length > 0 ? teamMemberPermissions : usualPaths;
    return paths.some((path) => given.includes(path));
  });
  return new Set(permitted.map(({ teamId }) => teamId));
}

/** Whether a caller decides about a key: a proxy admin about any, an admin of its team or organization about theirs. */
export function isKeyAdmin(caller: AdminCaller, key: KeyOwners): boolean {
  if (isProxyAdmin(caller)) return true;
  if (key.teamId && caller.adminTeamIds.includes(key.teamId)) return true;
  return Boolean(key.organizationId && caller.adminOrganizationIds.includes(key.organizationId));
}

/** The same, and plain members of teams that permit it. A user is not among them for its own keys. */
export function mayAdministerKey(caller: AdminCaller, key: KeyOwners, permitted: PermittedTeams = none): boolean {
  return isKeyAdmin(caller, key) || Boolean(key.teamId && permitted.has(key.teamId));
}

/**
 * Whether a caller may make, change and delete a key: whoever administers it, and an internal user a key of its own that
 * is in no team.
 */
export function mayManageKey(caller: AdminCaller, key: KeyOwners, permitted: PermittedTeams = none): boolean {
  if (mayAdministerKey(caller, key, permitted)) return true;
  const isOwn = key.userId !== undefined && key.userId !== null && key.userId === caller.userId;
  return isOwn && !key.teamId && caller.roles.includes(Role.INTERNAL_USER);
}

/** Whether a caller may see a key: whoever may change it, who may read everything, its user, and the key itself. */
export function maySeeKey(caller: AdminCaller, key: KeyOwners, permitted: PermittedTeams = none): boolean {
  if (caller.keyId === key.keyId || mayManageKey(caller, key, permitted) || readsEverything(caller)) return true;
  return caller.userId !== "" && key.userId === caller.userId;
}

export function readsEverything(caller: AdminCaller): boolean {
  return isProxyAdmin(caller) || caller.roles.includes(Role.PROXY_ADMIN_VIEWER);
}

/** @throws PERMISSION_DENIED, in the same words whether the key exists or not. */
export function requireKeyRight(allowed: boolean): void {
  if (!allowed) throw gatewayError(Reason.PERMISSION_DENIED, "You may not do this with this key.", { param: "key" });
}
