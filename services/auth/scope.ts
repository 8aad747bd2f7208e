/**
 * The names of scopes: what calls count against, in accounting, and what changes are announced by. A member's names are
 * escaped, so that no two members share a scope.
 */
export const scopeOf = {
  /** Everything that the gateway answers. */
  gateway: () => "gateway:all",
  key: (keyId: string) => `key:${keyId}`,
  user: (userId: string) => `user:${userId}`,
  team: (teamId: string) => `team:${teamId}`,
  member: (teamId: string, userId: string) => `member:${encodeURIComponent(teamId)}:${encodeURIComponent(userId)}`,
  organizationMember: (organizationId: string, userId: string) =>
    `organization_member:${encodeURIComponent(organizationId)}:${encodeURIComponent(userId)}`,
  organization: (organizationId: string) => `organization:${organizationId}`,
  project: (projectId: string) => `project:${projectId}`,
  customer: (customerId: string) => `customer:${customerId}`,
  tag: (tagName: string) => `tag:${tagName}`,
  budget: (budgetId: string) => `budget:${budgetId}`,
  accessGroup: (accessGroupId: string) => `access_group:${accessGroupId}`,
} as const;

const keyPrefix = scopeOf.key("");

/** The key that a scope is; undefined where it is something else. */
export function keyOfScope(scope: string): string | undefined {
  return scope.startsWith(keyPrefix) ? scope.slice(keyPrefix.length) : undefined;
}
