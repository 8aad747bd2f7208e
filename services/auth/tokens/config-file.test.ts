import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYaml } from "#chassis/yaml-file.ts";
import { readTokenSettings } from "./config-file.ts";

const read = (text: string, env: Record<string, string>) => readTokenSettings(parseYaml(text, "config.yaml", env), env);
const keys = { JWT_PUBLIC_KEY_URL: "https://id.example/keys", JWT_AUDIENCE: "sluice" };

test("nothing is accepted where nothing is asked for", () => {
  assert.deepEqual(read("general_settings: { master_key: sk-1 }", keys), {
    tokens: { jwt: [], introspection: undefined, userInfo: undefined },
    warnings: [],
  });
});

/** The examples of https://docs.litellm.ai/docs/proxy/token_auth, field by field. */
test("LiteLLM's configurations are read", () => {
  const { tokens, warnings } = read(
    `
general_settings:
  master_key: sk-1234
  enable_jwt_auth: True
  litellm_jwtauth:
    admin_jwt_scope: "litellm-proxy-admin"
    admin_allowed_routes: ["/v1/embeddings"]
    team_id_jwt_field: "client_id"
    team_ids_jwt_field: "groups"
    team_allowed_routes: ["/v1/chat/completions"]
    user_id_jwt_field: "sub"
    org_id_jwt_field: "org_id"
    end_user_id_jwt_field: "customer_id"
    user_email_jwt_field: "email"
    user_allowed_email_domain: "my-co.com"
    user_id_upsert: true
    public_key_ttl: 600
    user_roles_jwt_field: resource_access.litellm.roles
    user_allowed_roles: ["basic_user"]
    object_id_jwt_field: "oid"
    roles_jwt_field: "roles"
    role_mappings:
      - role: litellm.api.consumer
        internal_role: "team"
    scope_mappings:
      - scope: litellm.api.consumer
        models: ["anthropic-claude"]
    enforce_scope_based_access: true
    enforce_rbac: true
  role_permissions:
    - role: team
      models: ["anthropic-claude"]
      routes: ["/v1/chat/completions"]
`,
    { JWT_ISSUER: "https://id.example/realms/x/,https://other.example", JWT_AUDIENCE: "api://proxy" },
  );
  const [jwt] = tokens.jwt;
  assert.deepEqual(warnings, []);
  assert.deepEqual(jwt?.addresses, [
    { url: "https://id.example/realms/x/.well-known/openid-configuration", issuer: "https://id.example/realms/x/" },
    { url: "https://other.example/.well-known/openid-configuration", issuer: "https://other.example" },
  ]);
  assert.deepEqual([jwt?.audiences, jwt?.keyTtlMs, jwt?.toleranceSeconds], [["api://proxy"], 600_000, 60]);
  assert.equal(jwt?.claims.team_id_jwt_field, "client_id");
});

test("what has no effect, or is careless, is said", () => {
  const on = "general_settings: { enable_jwt_auth: true, litellm_jwtauth: ";
  const cases: [text: string, env: Record<string, string>, said: RegExp][] = [
    [`${on}{ team_claim_fallback: true } }`, keys, /litellm_jwtauth.team_claim_fallback is not built yet; ignored/],
    [`${on}{} }`, { JWT_PUBLIC_KEY_URL: "https://id.example/keys" }, /neither JWT_AUDIENCE nor JWT_ISSUER is set/],
    [`${on}{} }`, { ...keys, JWT_PUBLIC_KEY_URL: "http://id.example/keys" }, /http:\/\/ address/],
    ["general_settings: { litellm_jwtauth: {} }", {}, /no effect without enable_jwt_auth/],
  ];
  for (const [text, env, said] of cases) assert.match(read(text, env).warnings.join("\n"), said, text);
  assert.deepEqual(read(`${on}{} }`, { ...keys, JWT_PUBLIC_KEY_URL: "http://127.0.0.1:9/keys" }).warnings, []);
});

test("a mistake stops the start with its place", () => {
  const on = "general_settings:\n  enable_jwt_auth: true\n  litellm_jwtauth:\n";
  const oauth = "general_settings: { enable_oauth2_auth: true }";
  const cases: [text: string, env: Record<string, string>, said: RegExp][] = [
    [`${on}    team_id_field: x\n`, keys, /config.yaml:4: general_settings.litellm_jwtauth: expected no team_id_field/],
    [`${on}    public_key_ttl: soon\n`, keys, /config.yaml:4: .*public_key_ttl: expected a whole number of seconds/],
    [
      `${on}    role_mappings: [{ role: a, internal_role: king }]\n`,
      keys,
      /internal_role: expected one of proxy_admin/,
    ],
    [`${on}    role_mappings: [{ role: a, internal_role: team }]\n`, keys, /roles_jwt_field: expected the claim/],
    [`${on}    enforce_scope_based_access: true\n`, keys, /scope_mappings: expected the scopes/],
    [`${on}    custom_validate: my.check\n`, keys, /custom_validate: expected nothing here/],
    [`${on}    issuers: [{ issuer: "https://a.example" }]\n`, keys, /issuers\[0\]: expected an audience, or disable/],
    [`${on}    issuers: [{ issuer: x, audience: a }]\n`, keys, /issuers of x must be an https/],
    ["general_settings: { enable_jwt_auth: 'perhaps' }", keys, /enable_jwt_auth: expected true or false/],
    [`${on}    user_id_jwt_field: sub\n`, {}, /needs JWT_PUBLIC_KEY_URL/],
    [`${on}    user_id_jwt_field: sub\n`, { JWT_PUBLIC_KEY_URL: "ftp://x" }, /JWT_PUBLIC_KEY_URL must be an https/],
    [`${on}    user_id_jwt_field: sub\n`, { JWT_ISSUER: "not a url" }, /JWT_ISSUER must be an https/],
    [`${on}    oidc_userinfo_enabled: true\n`, {}, /oidc_userinfo_endpoint: expected the address/],
    [oauth, {}, /needs OAUTH_TOKEN_INFO_ENDPOINT/],
    [oauth, { OAUTH_TOKEN_INFO_ENDPOINT: "https://x.example", OAUTH_CLIENT_ID: "a" }, /come together/],
  ];
  for (const [text, env, said] of cases) assert.throws(() => read(text, env), said, text);
});

test("issuers of their own have their own keys, audience and claims", () => {
  const { tokens, warnings } = read(
    `
general_settings:
  enable_jwt_auth: true
  litellm_jwtauth:
    user_id_jwt_field: sub
    issuers:
      - issuer: https://one.example/realm
        audience: gateway
        team_ids_jwt_field: groups
      - issuer: https://two.example
        jwks_url: https://two.example/jwks.json
        disable_audience_validation: true
        user_id_jwt_field: uid
`,
    keys,
  );
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    tokens.jwt.map(({ addresses, issuers, audiences }) => [addresses[0]?.url, issuers, audiences]),
    [
      ["https://one.example/realm/.well-known/openid-configuration", ["https://one.example/realm"], ["gateway"]],
      ["https://two.example/jwks.json", ["https://two.example"], []],
      ["https://id.example/keys", [], ["sluice"]],
    ],
  );
  assert.deepEqual(
    tokens.jwt.map(({ claims }) => [claims.user_id_jwt_field, claims.team_ids_jwt_field]),
    [
      ["sub", "groups"],
      ["uid", undefined],
      ["sub", undefined],
    ],
  );
});
