import { z } from "zod";
import { flag } from "#chassis/file-values.ts";

/** LiteLLM's settings for identity tokens, with its names. Absent, null and unset are the same. */

const text = z.string("expected a string").min(1, "expected a string that is not empty").nullish();
const list = z.array(z.string("expected a string").min(1), "expected a list of strings");
const names = list.nullish();
const seconds = z.int("expected a whole number of seconds");
/** Known and not built: whatever stands there. */
const unread = z.unknown().optional();
const internalRole = z.enum(["proxy_admin", "internal_user", "team"]);
const userRole = z.enum(["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]);

/** What holds for tokens of a role, under `enforce_rbac`. */
const rolePermissions = z
  .array(z.strictObject({ role: internalRole, models: names, routes: names }), "expected a list of roles")
  .nullish();

/** One issuer with its own keys, audience and claims. What it does not say of claims, the settings for all do. */
const issuer = z
  .strictObject({
    issuer: z.string("expected the `iss` of its tokens").min(1, "expected the `iss` of its tokens"),
    audience: z.union([z.string().min(1), list.min(1)], "expected an audience, or a list of them").nullish(),
    disable_audience_validation: flag,
    jwks_url: text,
    team_id_jwt_field: text,
    team_ids_jwt_field: text,
    user_id_jwt_field: text,
    user_email_jwt_field: text,
    org_id_jwt_field: text,
    end_user_id_jwt_field: text,
  })
  .refine(
    ({ audience, disable_audience_validation: disabled }) => (audience == null) === (disabled === true),
    "expected an audience, or disable_audience_validation: true, and not both",
  );

export type IssuerEntry = z.output<typeof issuer>;

/**
 * `general_settings.litellm_jwtauth`: where claims are, and what they mean. A name with dots is a path into nested
 * claims.
 */
const jwtAuthSchema = z.strictObject({
  admin_jwt_scope: text,
  admin_allowed_routes: names,
  team_id_jwt_field: text,
  team_ids_jwt_field: text,
  team_alias_jwt_field: text,
  team_id_upsert: flag,
  team_id_default: text,
  team_allowed_routes: names,
  upsert_sso_user_to_team: flag,
  org_id_jwt_field: text,
  org_alias_jwt_field: text,
  user_id_jwt_field: text,
  user_email_jwt_field: text,
  user_allowed_email_domain: text,
  user_roles_jwt_field: text,
  user_allowed_roles: names,
  user_id_upsert: flag,
  end_user_id_jwt_field: text,
  public_key_ttl: seconds.min(1, "expected at least 1").max(86_400, "expected at most 86400").nullish(),
  enforce_rbac: flag,
  roles_jwt_field: text,
  role_mappings: z
    .array(z.strictObject({ role: z.string().min(1), internal_role: internalRole }), "expected a list of mappings")
    .nullish(),
  object_id_jwt_field: text,
  scope_mappings: z
    .array(z.strictObject({ scope: z.string().min(1), models: names, routes: names }), "expected a list of mappings")
    .nullish(),
  enforce_scope_based_access: flag,
  enforce_team_based_model_access: flag,
  jwt_litellm_role_map: z
    .array(z.strictObject({ jwt_role: z.string().min(1), litellm_role: userRole }), "expected a list of mappings")
    .nullish(),
  sync_user_role_and_teams: flag,
  issuers: z.array(issuer, "expected a list of issuers").nullish(),
  public_key_stale_ttl: seconds.min(0, "expected 0 or more").max(2_592_000, "expected at most 2592000").nullish(),
  oidc_userinfo_enabled: flag,
  oidc_userinfo_endpoint: text,
  oidc_userinfo_cache_ttl: seconds.min(1, "expected at least 1").max(3_600, "expected at most 3600").nullish(),
  // Known and not built.
  public_allowed_routes: unread,
  team_claim_fallback: unread,
  // Known, not built, and not to be passed over: without them tokens would be good for more than they say.
  virtual_key_claim_field: unread,
  virtual_key_mapping_cache_ttl: unread,
  jwt_client_id_field: unread,
  unregistered_jwt_client_behavior: unread,
  custom_validate: unread,
  routing_overrides: unread,
});

export type JwtAuth = z.output<typeof jwtAuthSchema>;

/** What of `general_settings` concerns tokens. */
export const generalSchema = z
  .looseObject({
    enable_jwt_auth: flag,
    enable_oauth2_auth: flag,
    litellm_jwtauth: jwtAuthSchema.nullish(),
    role_permissions: rolePermissions,
  })
  .nullish();

export type RolePermissions = NonNullable<z.output<typeof rolePermissions>>;

export const unbuiltFields = [
  "public_allowed_routes",
  "team_claim_fallback",
] as const satisfies readonly (keyof JwtAuth)[];

/** Settings that narrow what a token is good for: a start without them would be a start with more rights. */
export const refusedFields = [
  "virtual_key_claim_field",
  "jwt_client_id_field",
  "unregistered_jwt_client_behavior",
  "custom_validate",
  "routing_overrides",
] as const satisfies readonly (keyof JwtAuth)[];
