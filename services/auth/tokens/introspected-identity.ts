import { hash } from "node:crypto";
import { userRoleNames } from "../roles.ts";
import { findClaim, readEnd, readId, readIds } from "./claims.ts";
import { type Identity, lenientRules, usualTeamRoutes } from "./identity.ts";
import type { TokenFacts } from "./introspection.ts";
import { tokenDenied } from "./refusal.ts";
import type { IntrospectionSettings } from "./settings.ts";

/**
 * Reads whom an OAuth 2.0 server says a token is, by LiteLLM's variables. What the server says holds: a user or team that
 * nobody knows here is no mistake, only without limits.
 *
 * @throws PERMISSION_DENIED where it names neither a user nor a team.
 */
export function readIntrospectedIdentity(facts: TokenFacts, settings: IntrospectionSettings): Identity {
  const userId = readId(facts, settings.userIdField);
  const teamIds = readIds(facts, settings.teamIdField);
  const given = findClaim(facts, settings.userRoleField);
  const role = userRoleNames.find((name) => name === given);
  if (userId === undefined && teamIds.length === 0) {
    throw tokenDenied(
      "the token's server names no user and no team (OAUTH_USER_ID_FIELD_NAME, OAUTH_USER_TEAM_ID_FIELD_NAME)",
    );
  }
  const subject = readId(facts, "sub") ?? readId(facts, "client_id") ?? userId ?? teamIds[0];
  return {
    keyId: hash("sha256", JSON.stringify(["oauth2", settings.url, subject]), "hex"),
    expiresAt: readEnd(facts, 0),
    isAdmin: role === "proxy_admin",
    user: userId === undefined ? undefined : { id: userId, email: undefined, role },
    teamIds,
    teamAliases: [],
    requiredTeamId: undefined,
    organization: undefined,
    endUser: "",
    allowedRoutes: userId === undefined ? usualTeamRoutes : [],
    rights: [],
    rules: lenientRules,
  };
}
