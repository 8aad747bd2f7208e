import { ConfigurationError, type Environment, integer, list, text } from "#chassis/environment.ts";
import { Secret } from "#chassis/secret.ts";
import { readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import {
  generalSchema,
  type IssuerEntry,
  type JwtAuth,
  type RolePermissions,
  refusedFields,
  unbuiltFields,
} from "./config-schema.ts";
import type { IntrospectionSettings, JwtSettings, KeyAddress, TokenSettings, UserInfoSettings } from "./settings.ts";

/** With the edge's ten seconds, a token that was revoked works for less than a minute. */
const introspectionKeptMs = 45_000;
const place = ["general_settings", "litellm_jwtauth"] as const;

/**
 * Reads which tokens of others are accepted: `enable_jwt_auth`, `litellm_jwtauth`, `role_permissions` and
 * `enable_oauth2_auth` of `general_settings`, and LiteLLM's variables `JWT_…` and `OAUTH_…`. A warning is one sentence.
 *
 * @throws ConfigurationError where a value is wrong or missing, or where a setting that is not built would narrow what
 *   tokens are good for.
 */
export function readTokenSettings(
  document: YamlDocument,
  env: Environment,
): { tokens: TokenSettings; warnings: string[] } {
  const general = readSection(document, ["general_settings"], generalSchema) ?? {};
  const claims = general.litellm_jwtauth ?? {};
  const warnings: string[] = [];
  const isJwt = general.enable_jwt_auth === true;
  if (isJwt) warnings.push(...checkFields(document, claims));
  else if (general.litellm_jwtauth)
    warnings.push("general_settings.litellm_jwtauth has no effect without enable_jwt_auth");
  const common = readCommon(env, claims, general.role_permissions ?? []);
  const jwt = isJwt ? readJwt(env, common, warnings) : [];
  const introspection = general.enable_oauth2_auth === true ? readIntrospection(env, warnings) : undefined;
  const asksUserInfo = isJwt && claims.oidc_userinfo_enabled === true;
  if (asksUserInfo && introspection !== undefined) {
    throw document.problem([...place, "oidc_userinfo_enabled"], "false: enable_oauth2_auth takes the opaque tokens");
  }
  const userInfo = asksUserInfo ? readUserInfo(document, common, warnings) : undefined;
  return { tokens: { jwt, introspection, userInfo }, warnings };
}

function checkFields(document: YamlDocument, claims: JwtAuth): string[] {
  for (const name of refusedFields) {
    if (claims[name] !== null && claims[name] !== undefined) {
      throw document.problem(
        [...place, name],
        "nothing here: it is not built yet, and tokens would be good for more without it",
      );
    }
  }
  if (claims.enforce_scope_based_access === true && (claims.scope_mappings ?? []).length === 0) {
    throw document.problem([...place, "scope_mappings"], "the scopes that enforce_scope_based_access asks for");
  }
  for (const field of ["role_mappings", "jwt_litellm_role_map"] as const) {
    if ((claims[field] ?? []).length > 0 && !claims.roles_jwt_field) {
      throw document.problem([...place, "roles_jwt_field"], `the claim that ${field} is about`);
    }
  }
  return unbuiltFields
    .filter((name) => claims[name] !== null && claims[name] !== undefined)
    .map((name) => `general_settings.litellm_jwtauth.${name} is not built yet; ignored`);
}

type CommonSettings = Pick<JwtSettings, "keyTtlMs" | "keyStaleMs" | "toleranceSeconds" | "claims" | "rolePermissions">;

function readCommon(env: Environment, claims: JwtAuth, rolePermissions: RolePermissions): CommonSettings {
  return {
    keyTtlMs: (claims.public_key_ttl ?? 600) * 1000,
    keyStaleMs: (claims.public_key_stale_ttl ?? 86_400) * 1000,
    toleranceSeconds: integer(env, "SLUICE_JWT_CLOCK_TOLERANCE_SECONDS", 60, 0, 600),
    claims,
    rolePermissions,
  };
}

function readJwt(env: Environment, common: CommonSettings, warnings: string[]): readonly JwtSettings[] {
  const { claims } = common;
  const entries = claims.issuers ?? [];
  const own = entries.map((entry) => ({ ...common, ...readIssuer(entry, claims, warnings) }));
  const names = entries.map(({ issuer }) => issuer);
  if (new Set(names).size < names.length)
    throw new ConfigurationError(`${place.join(".")}.issuers names an issuer twice`);
  const others = readOthers(env, warnings);
  if (others !== undefined) own.push({ ...common, ...others });
  if (own.length > 0 || claims.oidc_userinfo_enabled === true) return own;
  throw new ConfigurationError(
    "enable_jwt_auth needs JWT_PUBLIC_KEY_URL (where the issuer's keys are), JWT_ISSUER or litellm_jwtauth.issuers",
  );
}

type IssuerSettings = Pick<JwtSettings, "addresses" | "issuers" | "audiences" | "claims">;

function readIssuer(entry: IssuerEntry, claims: JwtAuth, warnings: string[]): IssuerSettings {
  const { issuer, audience, disable_audience_validation: _, jwks_url: jwksUrl, ...fields } = entry;
  const url = jwksUrl ?? discoveryOf(issuer);
  warnings.push(...checkAddress(`${place.join(".")}.issuers of ${issuer}`, url));
  const given = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return {
    addresses: [{ url, issuer }],
    issuers: [issuer],
    audiences: audience == null ? [] : [audience].flat(),
    claims: { ...claims, ...Object.fromEntries(given) },
  };
}

/** Issuers that the environment names. */
function readOthers(env: Environment, warnings: string[]): Omit<IssuerSettings, "claims"> | undefined {
  const issuers = list(env, "JWT_ISSUER") ?? [];
  const audiences = list(env, "JWT_AUDIENCE") ?? [];
  const given = list(env, "JWT_PUBLIC_KEY_URL") ?? [];
  // Keys of several addresses are told apart by the issuer; one issuer owns all of them.
  const [only, ...more] = issuers;
  const owner = more.length === 0 ? only : undefined;
  const addresses: KeyAddress[] =
    given.length > 0
      ? given.map((url) => ({ url, issuer: owner }))
      : issuers.map((issuer) => ({ url: discoveryOf(issuer), issuer }));
  const variable = given.length === 0 ? "JWT_ISSUER" : "JWT_PUBLIC_KEY_URL";
  for (const { url } of addresses) warnings.push(...checkAddress(variable, url));
  if (addresses.length === 0) return undefined;
  if (issuers.length === 0 && audiences.length === 0) {
    warnings.push(
      "neither JWT_AUDIENCE nor JWT_ISSUER is set: every token that the issuer signs is accepted, for whatever service it was meant",
    );
  }
  if (addresses.length > 1 && given.length > 0 && owner === undefined) {
    warnings.push(
      "JWT_PUBLIC_KEY_URL names several sets of keys, and each of them may sign in the name of any accepted issuer, unless it is a discovery document; litellm_jwtauth.issuers tells them apart",
    );
  }
  return { addresses, issuers, audiences };
}

/** https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationRequest */
function discoveryOf(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

function readIntrospection(env: Environment, warnings: string[]): IntrospectionSettings {
  const url = text(env, "OAUTH_TOKEN_INFO_ENDPOINT");
  if (url === undefined) throw new ConfigurationError("enable_oauth2_auth needs OAUTH_TOKEN_INFO_ENDPOINT");
  warnings.push(...checkAddress("OAUTH_TOKEN_INFO_ENDPOINT", url));
  const id = text(env, "OAUTH_CLIENT_ID");
  const secret = text(env, "OAUTH_CLIENT_SECRET");
  if ((id === undefined) !== (secret === undefined)) {
    throw new ConfigurationError("OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET come together");
  }
  return {
    url,
    client: id === undefined || secret === undefined ? undefined : { id, secret: new Secret(secret) },
    userIdField: text(env, "OAUTH_USER_ID_FIELD_NAME") ?? "sub",
    userRoleField: text(env, "OAUTH_USER_ROLE_FIELD_NAME") ?? "role",
    teamIdField: text(env, "OAUTH_USER_TEAM_ID_FIELD_NAME") ?? "team_id",
    keptMs: introspectionKeptMs,
  };
}

/** https://openid.net/specs/openid-connect-core-1_0.html#UserInfo: the token is the bearer, and `sub` is always there. */
function readUserInfo(document: YamlDocument, common: CommonSettings, warnings: string[]): UserInfoSettings {
  const { oidc_userinfo_endpoint: url, oidc_userinfo_cache_ttl: ttl } = common.claims;
  if (!url) throw document.problem([...place, "oidc_userinfo_endpoint"], "the address that oidc_userinfo_enabled asks");
  warnings.push(...checkAddress([...place, "oidc_userinfo_endpoint"].join("."), url));
  const question = { url, client: undefined, userIdField: "sub", userRoleField: "", teamIdField: "" };
  return { question: { ...question, keptMs: ttl ? ttl * 1000 : introspectionKeptMs }, meaning: common };
}

/** Without TLS whoever is in between hands out keys or reads tokens; on one machine nobody is. */
function checkAddress(variable: string, address: string): string[] {
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new ConfigurationError(`${variable} must be an https:// address without a password`);
  }
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url.protocol === "http:" && !isLocal
    ? [`${variable} is an http:// address: whoever is on the way can pass as the issuer`]
    : [];
}
