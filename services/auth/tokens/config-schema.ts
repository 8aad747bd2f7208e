import { z } from "zod";

/** LiteLLM's settings for identity tokens, with its names. Absent, null and unset are the same. */

const text = z.string("expected a string").min(1, "expected a string that is not empty").nullish();
const flag = z.boolean("expected true or false").nullish();
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
  // Known and not built.
  public_allowed_routes: unread,
  team_claim_fallback: unread,
  virtual_key_claim_field: unread,
  virtual_key_mapping_cache_ttl: unread,
  oidc_userinfo_enabled: unread,
  oidc_userinfo_endpoint: unread,
  oidc_userinfo_cache_ttl: unread,
  // Known, not built, and not to be passed over: without them tokens would be good for more than they say.
  custom_validate: unread,
  issuers: unread,
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
  "virtual_key_claim_field",
  "virtual_key_mapping_cache_ttl",
  "oidc_userinfo_enabled",
  "oidc_userinfo_endpoint",
  "oidc_userinfo_cache_ttl",
] as const satisfies readonly (keyof JwtAuth)[];

/** Settings that narrow what a token is good for: a start without them would be a start with more rights. */
export const refusedFields = [
  "custom_validate",
  "issuers",
  "routing_overrides",
] as const satisfies readonly (keyof JwtAuth)[];
