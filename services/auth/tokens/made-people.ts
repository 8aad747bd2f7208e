import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { findGatewayError } from "#chassis/errors.ts";
import { TeamMemberSettingsSchema, TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { AdminCallerSchema, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, createdBy, touch } from "../change.ts";
import type { RouteContext } from "../context.ts";
import { TeamMember, User, type UserRow } from "../db/entities.ts";
import { insertThing } from "../kind.ts";
import { removePlace } from "../routes/team/change-team-member.ts";
import { insertUser } from "../routes/user/create-user.ts";
import { scopeOf } from "../scope.ts";
import { readDoc } from "../stored-doc.ts";
import { readTeamSettings, teamColumns } from "../team-input.ts";
import { insertPlaces } from "../team-members.ts";
import { teamKind } from "../teams.ts";
import { readUserSettings, userColumns } from "../user-input.ts";
import type { Identity, UserClaim } from "./identity.ts";
import { findPeople, type NamedPeople } from "./named-people.ts";

/** Who makes what tokens name: `jwt` stands in the columns of what was made and changed so. */
const tokenCaller = create(AdminCallerSchema, {
  operation: "AuthenticateToken",
  keyId: "jwt",
  roles: [Role.PROXY_ADMIN],
});

/** How often it is looked again after somebody else has made the same. */
const maxTries = 3;

/**
 * Makes who is missing of those that a token names and brings a user's role and teams up to what it says, where the
 * configuration wants that: all in one transaction, and none where nothing is to be done. Returns who is there then.
 */
export async function bringUp(context: RouteContext, identity: Identity): Promise<NamedPeople> {
  const { database } = context;
  for (let tries = 1; ; tries += 1) {
    const found = await findPeople(database.em(), identity);
    if (tries > maxTries || !(await isBehind(database.em(), identity, found))) return found;
    try {
      await change(context, tokenCaller, async (em) => {
        const now = new Date(context.clock());
        return { result: undefined, changed: await makeChanges(em, identity, now) };
      });
    } catch (error) {
      // Another token has just made the same.
      if (findGatewayError(ConnectError.from(error))?.reason !== Reason.CONFLICT) throw error;
    }
  }
}

async function isBehind(em: SqlEntityManager, identity: Identity, { user, teams }: NamedPeople): Promise<boolean> {
  const { rules, user: claim } = identity;
  const teamIds = teams.map(({ teamId }) => teamId);
  if (claim !== undefined && user === null && rules.makesUser) return true;
  if (missingTeam(identity, teamIds) !== undefined) return true;
  if (user === null || !(rules.joinsTeams || rules.syncsUser)) return false;
  if (rules.syncsUser && claim?.role !== undefined && claim.role !== user.userRole) return true;
  const { missing, surplus } = await placesToChange(em, identity, user, teamIds);
  return missing.length + surplus.length > 0;
}

/** The team to be made. */
function missingTeam({ rules, requiredTeamId }: Identity, known: readonly string[]): string | undefined {
  return requiredTeamId !== undefined && rules.makesTeam && !known.includes(requiredTeamId)
    ? requiredTeamId
    : undefined;
}

async function makeChanges(em: SqlEntityManager, identity: Identity, now: Date): Promise<Changed[]> {
  const { rules } = identity;
  const before = await findPeople(em, identity);
  const changed: Changed[] = [];
  const known = before.teams.map(({ teamId }) => teamId);
  const teamId = missingTeam(identity, known);
  if (teamId !== undefined) {
    const settings = readTeamSettings(create(TeamSettingsSchema));
    await insertThing(em, teamKind, { teamId, ...teamColumns(settings), ...createdBy(tokenCaller, now) });
    changed.push({ scope: scopeOf.team(teamId), action: "created" });
    known.push(teamId);
  }
  const user = before.user ?? (await makeUser(em, identity, now, changed));
  if (user === undefined || !(rules.joinsTeams || rules.syncsUser)) return changed;
  // Tokens of one user are brought up one after the other.
  await em.findOne(User, { userId: user.userId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  if (rules.syncsUser) changed.push(...(await syncRole(em, user, identity.user, now)));
  const { missing, surplus } = await placesToChange(em, identity, user, known);
  const members = [{ userId: user.userId, role: "user" }];
  for (const id of missing) {
    changed.push(...(await insertPlaces(em, tokenCaller, now, id, members, create(TeamMemberSettingsSchema))));
  }
  for (const place of surplus) changed.push(...(await removePlace(em, tokenCaller, place, now)));
  return changed;
}

async function makeUser(em: SqlEntityManager, { user, rules }: Identity, now: Date, changed: Changed[]) {
  if (user === undefined || !rules.makesUser) return undefined;
  const { id, email, role } = user;
  const settings = readUserSettings(create(UserSettingsSchema, { userEmail: email, ssoUserId: id, userRole: role }));
  const row: UserRow = { userId: id, ...userColumns(settings), ...createdBy(tokenCaller, now) };
  await insertUser(em, row);
  changed.push({ scope: scopeOf.user(id), action: "created" });
  return row;
}

async function syncRole(
  em: SqlEntityManager,
  user: UserRow,
  claim: UserClaim | undefined,
  now: Date,
): Promise<Changed[]> {
  if (claim?.role === undefined || claim.role === user.userRole) return [];
  const row = await em.findOneOrFail(User, { userId: user.userId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  const settings = readDoc(UserSettingsSchema, row.doc);
  settings.userRole = claim.role;
  em.assign(row, userColumns(settings));
  touch(row, tokenCaller, now);
  await em.flush();
  return [{ scope: scopeOf.user(user.userId), action: "updated" }];
}

/** The teams of the token that the user is not in, and, where they are to be the same, the places that it does not name. */
async function placesToChange(
  em: SqlEntityManager,
  { rules }: Identity,
  { userId }: UserRow,
  teamIds: readonly string[],
) {
  const places = await em.find(TeamMember, { userId });
  const missing = !(rules.joinsTeams || rules.syncsTeams)
    ? []
    : teamIds.filter((id) => !places.some(({ teamId }) => teamId === id));
  const surplus = rules.syncsTeams ? places.filter(({ teamId }) => !teamIds.includes(teamId)) : [];
  return { missing, surplus };
}
