import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { OrganizationMemberRow, TeamMemberRow, UserRow } from "./db/entities.ts";

/** LiteLLM's names of the roles that a user may have. */
const userRoles: ReadonlyMap<string, Role> = new Map([
  ["proxy_admin", Role.PROXY_ADMIN],
  ["proxy_admin_viewer", Role.PROXY_ADMIN_VIEWER],
  ["internal_user", Role.INTERNAL_USER],
  ["internal_user_viewer", Role.INTERNAL_USER_VIEWER],
]);

export const userRoleNames: readonly string[] = [...userRoles.keys()];

/** The role of LiteLLM's name; undefined where there is none of it. */
export function roleOf(name: string | undefined): Role | undefined {
  return name === undefined ? undefined : userRoles.get(name);
}

export interface Memberships {
  readonly memberships: readonly TeamMemberRow[];
  readonly organizationMemberships: readonly OrganizationMemberRow[];
}

/** The roles of a key: every key sees itself, its user adds the user's own, and what it is an admin of the rest. */
export function rolesOf(user: UserRow | null, { memberships, organizationMemberships }: Memberships): Role[] {
  const roles: Role[] = [Role.KEY];
  const own = roleOf(user?.userRole);
  if (own !== undefined) roles.push(own);
  if (memberships.some(({ role }) => role === "admin")) roles.push(Role.TEAM_ADMIN);
  if (organizationMemberships.some(({ role }) => role === "org_admin")) roles.push(Role.ORG_ADMIN);
  return roles;
}
