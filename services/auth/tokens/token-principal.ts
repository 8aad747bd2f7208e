import { create } from "@bufbuild/protobuf";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { ModelRightsSchema } from "#gen/sluice/inference/v1/limits_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../context.ts";
import { loadLineage } from "../lineage.ts";
import { virtualPrincipal } from "../principal.ts";
import { roleOf } from "../roles.ts";
import { readDoc } from "../stored-doc.ts";
import { type Identity, noModels } from "./identity.ts";
import { bringUp } from "./made-people.ts";
import type { NamedPeople } from "./named-people.ts";
import { badToken, tokenDenied } from "./refusal.ts";
import { tokenRow } from "./token-row.ts";

/** Teams that a token can be used in. */
const maxTeams = 16;

/**
 * What the request path needs to know of a token: what it would of a key of the same user and team, and whatever the token
 * says beside. A token of several teams has a principal for each; the first is that of the first team it names that is
 * not blocked, or of the team that the client asks for.
 *
 * @param teamId The team that the client asks for; empty where it asks for none.
 * @throws KEY_INVALID where a user or team is unknown, PERMISSION_DENIED where the team is not the token's.
 */
export async function tokenPrincipal(context: RouteContext, identity: Identity, teamId: string): Promise<Principal> {
  const people = await bringUp(context, identity);
  requireKnown(identity, people);
  const teamIds = teamsOf(identity, people);
  if (teamId !== "" && !teamIds.includes(teamId)) {
    throw tokenDenied("x-litellm-team-id names a team that is not one of the token's");
  }
  const chosen: (string | undefined)[] = teamId === "" ? teamIds.slice(0, maxTeams) : [teamId];
  if (chosen.length === 0) chosen.push(undefined);
  const principals = await Promise.all(chosen.map((each) => principalIn(context, identity, people, each)));
  const [first, ...others] = principals;
  if (first === undefined) throw badToken("it names nobody");
  first.alternatives = others;
  first.teamIds = [...new Set([...first.teamIds, ...teamIds])];
  return first;
}

function requireKnown(identity: Identity, people: NamedPeople): void {
  const { rules, user, teamIds, teamAliases, requiredTeamId, organization } = identity;
  if (!rules.mustExist) return;
  if (user !== undefined && people.user === null) {
    throw badToken("its user is not known here; make it with /user/new, or set litellm_jwtauth.user_id_upsert");
  }
  const isMissing = requiredTeamId !== undefined && !people.teams.some(({ teamId }) => teamId === requiredTeamId);
  const isAlone = user === undefined && teamIds.length + teamAliases.length > 0 && people.teams.length === 0;
  if (isMissing || isAlone) {
    throw badToken("its team is not known here; make it with /team/new, or set litellm_jwtauth.team_id_upsert");
  }
  if (organization !== undefined && people.organization === null) {
    throw badToken("its organization is not known here; make it with /organization/new");
  }
}

/** The teams of a token, those that are blocked last. */
function teamsOf({ rules, teamIds, isAdmin }: Identity, { teams }: NamedPeople): string[] {
  if (isAdmin && teams.length === 0) return [];
  if (!rules.mustExist && teams.length === 0) return [...teamIds];
  const isBlocked = (doc: object) => readDoc(TeamSettingsSchema, doc).blocked === true;
  const open = teams.filter(({ doc }) => !isBlocked(doc));
  return [...open, ...teams.filter((team) => !open.includes(team))].map((team) => team.teamId);
}

async function principalIn(
  { database, clock }: RouteContext,
  identity: Identity,
  people: NamedPeople,
  teamId: string | undefined,
): Promise<Principal> {
  const key = tokenRow({
    keyId: identity.keyId,
    userId: people.user?.userId ?? identity.user?.id ?? "",
    teamId: teamId ?? "",
    organizationId: people.organization?.organizationId,
    expiresAt: identity.expiresAt,
  });
  const lineage = await loadLineage(database, { key, retiredUntil: undefined });
  const principal = virtualPrincipal(lineage, new Date(clock()));
  // What an issuer says of somebody that nobody knows here.
  const stated = people.user === null ? roleOf(identity.user?.role) : undefined;
  if (stated !== undefined) principal.roles.push(stated);
  if (identity.isAdmin) principal.roles.push(Role.PROXY_ADMIN);
  const rights = [...identity.rights];
  if (teamId === undefined && identity.rules.needsTeam) rights.push({ level: "team", models: noModels });
  for (const { level, models } of rights) {
    principal.rights.push(create(ModelRightsSchema, { level, models: [...models] }));
  }
  principal.allowedRoutes = [...identity.allowedRoutes];
  principal.endUser = identity.endUser;
  return principal;
}
