import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { Organization, type OrganizationRow, Team, type TeamRow, User, type UserRow } from "../db/entities.ts";
import { userIdOf } from "../member-users.ts";
import type { Identity, UserClaim } from "./identity.ts";
import { badToken } from "./refusal.ts";

/** Who is there of those that a token names. */
export interface NamedPeople {
  readonly user: UserRow | null;
  /** In the order in which the token names them. */
  readonly teams: readonly TeamRow[];
  readonly organization: OrganizationRow | null;
}

export async function findPeople(em: SqlEntityManager, identity: Identity): Promise<NamedPeople> {
  const [user, teams, organization] = await Promise.all([
    findUser(em, identity.user),
    findTeams(em, identity),
    findOrganization(em, identity.organization),
  ]);
  return { user, teams, organization };
}

/** By id, by the id that a login service knows the user by, or by e-mail address. */
async function findUser(em: SqlEntityManager, claim: UserClaim | undefined): Promise<UserRow | null> {
  if (claim === undefined) return null;
  const rows = await em.find(User, { $or: [{ userId: claim.id }, { ssoUserId: claim.id }] });
  const found = rows.find(({ userId }) => userId === claim.id) ?? rows[0];
  if (found !== undefined || claim.email === undefined) return found ?? null;
  const userId = await userIdOf(em, { userEmail: claim.email });
  return userId === undefined ? null : em.findOne(User, { userId });
}

/** @throws KEY_INVALID where two teams have the same alias: nobody can tell which one is meant. */
async function findTeams(em: SqlEntityManager, { teamIds, teamAliases }: Identity): Promise<TeamRow[]> {
  if (teamIds.length + teamAliases.length === 0) return [];
  const rows = await em.find(Team, {
    $or: [{ teamId: { $in: [...teamIds] } }, { teamAlias: { $in: [...teamAliases] } }],
  });
  const byAlias = teamAliases.flatMap((alias) => {
    const named = rows.filter(({ teamAlias }) => teamAlias === alias);
    if (named.length > 1) throw badToken("several teams have the alias that it names");
    return named;
  });
  const byId = teamIds.flatMap((id) => rows.find(({ teamId }) => teamId === id) ?? []);
  return [...new Set([...byId, ...byAlias])];
}

async function findOrganization(
  em: SqlEntityManager,
  claim: Identity["organization"],
): Promise<OrganizationRow | null> {
  if (claim === undefined) return null;
  if (claim.id !== undefined) return em.findOne(Organization, { organizationId: claim.id });
  const named = await em.find(Organization, { organizationAlias: claim.alias ?? "" }, { limit: 2 });
  if (named.length > 1) throw badToken("several organizations have the alias that it names");
  return named[0] ?? null;
}
