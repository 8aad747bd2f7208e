import { hash } from "node:crypto";
import { matchesModel } from "../model-pattern.ts";
import { type Claims, findClaim, readEnd, readId, readIds, readScopes, readWords } from "./claims.ts";
import type { JwtAuth } from "./config-schema.ts";
import { type Identity, noModels, type UserClaim, usualAdminRoutes, usualTeamRoutes } from "./identity.ts";
import { badToken, tokenDenied } from "./refusal.ts";
import type { UserInfoSettings } from "./settings.ts";

type InternalRole = "proxy_admin" | "internal_user" | "team";

/**
 * Reads whom the claims of a JWT, or of a provider's user info, name, as LiteLLM's `litellm_jwtauth` has it.
 *
 * @throws KEY_INVALID where a claim is missing or no id, PERMISSION_DENIED where the token has no right role, scope or
 *   address, or names nobody.
 */
export function readJwtIdentity(claims: Claims, settings: UserInfoSettings["meaning"]): Identity {
  const { claims: rules } = settings;
  const scopes = readScopes(claims);
  const stated = statedRole(claims, rules, scopes);
  const objectId = stated === undefined ? undefined : readId(claims, rules.object_id_jwt_field);
  const user = readUser(claims, rules, stated === "internal_user" ? objectId : undefined);
  const teams = readTeams(claims, rules, stated === "team" ? objectId : undefined);
  const hasTeam = teams.teamIds.length + teams.teamAliases.length > 0;
  const role = rules.enforce_rbac ? requireRole(stated, rules, hasTeam, user) : stated;
  const isAdmin = role === "proxy_admin";
  if (!isAdmin && !hasTeam && user === undefined) {
    throw tokenDenied(
      "the token names no user and no team (litellm_jwtauth.user_id_jwt_field, team_id_jwt_field) and has no role of an administrator",
    );
  }
  const permissions = rules.enforce_rbac ? settings.rolePermissions.find((each) => each.role === role) : undefined;
  const ofScopes = rules.enforce_scope_based_access && !isAdmin ? readScopeAccess(rules, scopes) : undefined;
  const rights = [];
  if (permissions?.models) rights.push({ level: "role", models: permissions.models });
  if (ofScopes !== undefined) rights.push({ level: "scope", models: ofScopes.models });
  const organization = {
    id: readId(claims, rules.org_id_jwt_field),
    alias: readId(claims, rules.org_alias_jwt_field),
  };
  return {
    keyId: keyIdOf(claims, user?.id ?? teams.teamIds[0] ?? teams.teamAliases[0]),
    expiresAt: readEnd(claims, settings.toleranceSeconds),
    isAdmin,
    user,
    ...teams,
    organization: organization.id === undefined && organization.alias === undefined ? undefined : organization,
    endUser: readId(claims, rules.end_user_id_jwt_field) ?? "",
    allowedRoutes: isAdmin
      ? (rules.admin_allowed_routes ?? usualAdminRoutes)
      : (ofScopes?.routes ?? permissions?.routes ?? teamRoutes(rules, hasTeam, user)),
    rights,
    rules: {
      // A role that the issuer gives stands for itself: LiteLLM asks for no user and no team then.
      mustExist: !isAdmin && !(rules.enforce_rbac && objectId !== undefined),
      makesUser: rules.user_id_upsert === true && !(rules.user_allowed_email_domain && user?.email === undefined),
      makesTeam: rules.team_id_upsert === true,
      joinsTeams: rules.upsert_sso_user_to_team === true,
      syncsUser: rules.sync_user_role_and_teams === true,
      syncsTeams: rules.sync_user_role_and_teams === true && saysTeams(claims, rules),
      needsTeam: rules.enforce_team_based_model_access === true && !isAdmin,
    },
  };
}

/** The role that scope or roles of the token give it. */
function statedRole(claims: Claims, rules: JwtAuth, scopes: readonly string[]): InternalRole | undefined {
  if (scopes.includes(rules.admin_jwt_scope ?? "litellm_proxy_admin")) return "proxy_admin";
  const roles = readWords(claims, rules.roles_jwt_field);
  const mapped = rules.role_mappings?.find(({ role }) => roles.includes(role));
  if (mapped !== undefined) return mapped.internal_role;
  const userRoles = readWords(claims, rules.user_roles_jwt_field);
  return rules.user_allowed_roles?.some((role) => userRoles.includes(role)) ? "internal_user" : undefined;
}

/** Where roles are listed a token needs one of them; else it is enough that it names a team or a user. */
function requireRole(
  stated: InternalRole | undefined,
  rules: JwtAuth,
  hasTeam: boolean,
  user: UserClaim | undefined,
): InternalRole {
  if (stated !== undefined) return stated;
  const listed = (rules.role_mappings ?? []).length + (rules.user_allowed_roles ?? []).length > 0;
  if (!listed && hasTeam) return "team";
  if (!listed && user !== undefined) return "internal_user";
  throw tokenDenied("the token has none of the roles that may use the gateway (litellm_jwtauth.enforce_rbac)");
}

function readUser(claims: Claims, rules: JwtAuth, objectId: string | undefined): UserClaim | undefined {
  const given = readId(claims, rules.user_email_jwt_field);
  const email = claims.email_verified === false ? undefined : given;
  const domain = rules.user_allowed_email_domain?.toLowerCase();
  if (domain && given !== undefined && email?.toLowerCase().endsWith(`@${domain.replace(/^@/, "")}`) !== true) {
    throw tokenDenied(`the token's e-mail address is not one of ${domain}, or not verified`);
  }
  const id = readId(claims, rules.user_id_jwt_field) ?? objectId ?? email;
  if (id === undefined) return undefined;
  const roles = readWords(claims, rules.roles_jwt_field);
  const role = rules.jwt_litellm_role_map?.find(({ jwt_role }) => roles.some((each) => matchesModel(jwt_role, each)));
  return { id, email, role: role?.litellm_role };
}

function readTeams(claims: Claims, rules: JwtAuth, objectId: string | undefined) {
  const own = readId(claims, rules.team_id_jwt_field) ?? objectId;
  const teamIds = [...new Set([...(own === undefined ? [] : [own]), ...readIds(claims, rules.team_ids_jwt_field)])];
  // An id comes before a name, as in LiteLLM.
  const teamAliases = own === undefined ? readIds(claims, rules.team_alias_jwt_field) : [];
  if (teamIds.length + teamAliases.length > 0) return { teamIds, teamAliases, requiredTeamId: own };
  const usual = rules.team_id_default;
  if (usual) return { teamIds: [usual], teamAliases, requiredTeamId: usual };
  if (rules.team_id_jwt_field && !isAdminScope(claims, rules)) {
    throw badToken(`its claim ${rules.team_id_jwt_field} is missing: it names the team`);
  }
  return { teamIds, teamAliases, requiredTeamId: undefined };
}

function saysTeams(claims: Claims, rules: JwtAuth): boolean {
  const names = [rules.team_id_jwt_field, rules.team_ids_jwt_field, rules.team_alias_jwt_field];
  return names.some((name) => findClaim(claims, name) !== undefined);
}

function isAdminScope(claims: Claims, rules: JwtAuth): boolean {
  return statedRole(claims, rules, readScopes(claims)) === "proxy_admin";
}

/** @throws PERMISSION_DENIED where none of the scopes is listed. */
function readScopeAccess({ scope_mappings }: JwtAuth, scopes: readonly string[]) {
  const granted = (scope_mappings ?? []).filter(({ scope }) => scopes.includes(scope));
  if (granted.length === 0) {
    throw tokenDenied("none of the token's scopes may use the gateway (litellm_jwtauth.enforce_scope_based_access)");
  }
  const models = granted.flatMap((each) => each.models ?? []);
  const routes = granted.flatMap((each) => each.routes ?? []);
  return { models: models.length === 0 ? noModels : models, routes: routes.length === 0 ? undefined : routes };
}

/** A list of one's own holds for every token with a team; the usual one for tokens without a user. */
function teamRoutes(rules: JwtAuth, hasTeam: boolean, user: UserClaim | undefined): readonly string[] {
  if (hasTeam && rules.team_allowed_routes) return rules.team_allowed_routes;
  return user === undefined ? usualTeamRoutes : [];
}

/** @throws KEY_INVALID where nothing tells one subject from another. */
function keyIdOf(claims: Claims, otherwise: string | undefined): string {
  const subject = ["sub", "client_id", "azp"]
    .map((name) => findClaim(claims, name))
    .find((each) => typeof each === "string");
  const named = subject ?? otherwise;
  if (named === undefined) throw badToken("it names no subject (sub)");
  return hash("sha256", JSON.stringify(["jwt", claims.iss ?? "", named]), "hex");
}
