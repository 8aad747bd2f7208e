import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { startIdentityProvider } from "#chassis/testing/identity-provider.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { TeamMember, User } from "../db/entities.ts";
import { master } from "../testing/auth-fixture.ts";
import { storeOrganization, storeTeam } from "../testing/stored-rows.ts";
import { setUpTokens, type TokenSetup } from "../testing/token-fixture.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

const scopesOf = ({ scopes }: Principal) =>
  scopes.map(({ scope }) => scope).filter((scope) => !scope.startsWith("key:"));
const teamsOf = ({ teamId, alternatives }: Principal) => [teamId, ...alternatives.map((each) => each.teamId)];

async function signed({ provider, who }: TokenSetup, claims: Record<string, unknown>, teamId?: string) {
  return who(await provider.sign(claims), teamId);
}

for (const { name, url } of databases.all) {
  test(`user, team, organization and customer of a token count as those of a key do (${name})`, async () => {
    const setup = await setUpTokens(
      url,
      "user_id_jwt_field: sub\nteam_id_jwt_field: my.team\norg_id_jwt_field: org\nend_user_id_jwt_field: https://x.example/customer",
    );
    await storeOrganization(setup.database, "o1");
    await storeTeam(setup.database, "t1", { organizationId: "o1", models: ["gpt-4o"], limits: { rpmLimit: 5n } });
    await setup.client(UserService).createUser(
      {
        userId: "u1",
        autoCreateKey: false,
        teams: [{ teamId: "t1" }],
        settings: { limits: { maxBudget: 7_000_000_000n } },
      },
      master,
    );
    const claims = { sub: "u1", my: { team: "t1" }, org: "o1", "https://x.example/customer": "c1" };
    const principal = await signed(setup, claims);
    assert.deepEqual(scopesOf(principal), ["user:u1", "team:t1", "member:t1:u1", "organization:o1"]);
    assert.equal(principal.scopes.find(({ scope }) => scope === "user:u1")?.maxBudgetNanoUsd, 7_000_000_000n);
    assert.equal(principal.scopes.find(({ scope }) => scope === "team:t1")?.rpmLimit, 5);
    assert.deepEqual(
      principal.rights.map(({ level, models }) => [level, models]),
      [["team", ["gpt-4o"]]],
    );
    assert.deepEqual(principal.roles, [Role.KEY, Role.INTERNAL_USER]);
    assert.deepEqual([principal.endUser, principal.organizationId, principal.blocked], ["c1", "o1", false]);
    assert.deepEqual(principal.allowedRoutes, []);

    await setup.client(TeamService).blockTeam({ teamId: "t1" }, master);
    assert.equal((await signed(setup, claims)).blocked, true);
    const refusals: [claims: object, said: RegExp][] = [
      [{ sub: "nobody" }, /its user is not known here/],
      [{ my: { team: "t9" } }, /its team is not known here/],
      [{ my: {} }, /claim my.team is missing/],
      [{ org: "o9" }, /its organization is not known here/],
      [{ my: { team: ["t1"] } }, /claim my.team holds no id/],
      [{ sub: "x".repeat(257) }, /claim sub holds no id/],
    ];
    for (const [change, said] of refusals) await assert.rejects(signed(setup, { ...claims, ...change }), said);
    await setup.close();
  });

  test(`users and teams are made, found by address, and brought up to what tokens say (${name})`, async () => {
    const setup = await setUpTokens(
      url,
      [
        "user_id_jwt_field: sub",
        "user_email_jwt_field: email",
        "user_id_upsert: true",
        "user_allowed_email_domain: example.com",
        "team_ids_jwt_field: groups",
        "roles_jwt_field: roles",
        "jwt_litellm_role_map: [{ jwt_role: 'viewer*', litellm_role: proxy_admin_viewer }, { jwt_role: staff, litellm_role: internal_user }]",
        "sync_user_role_and_teams: true",
      ].join("\n"),
    );
    const { database } = setup;
    for (const teamId of ["g1", "g2", "g3"]) await storeTeam(database, teamId);
    const claims = { sub: "ann", email: "Ann@Example.com", groups: ["g1", "unknown", "g2"], roles: "staff" };
    // Many at once make one user.
    const principals = await Promise.all(Array.from({ length: 8 }, () => signed(setup, claims)));
    for (const principal of principals) assert.deepEqual(teamsOf(principal), ["g1", "g2"]);
    const row = await database.em().findOneOrFail(User, { userId: "ann" });
    assert.deepEqual(
      [row.userEmail, row.ssoUserId, row.userRole, row.createdBy],
      ["Ann@Example.com", "ann", "internal_user", "jwt"],
    );
    const places = async () =>
      (await database.em().find(TeamMember, { userId: "ann" })).map(({ teamId }) => teamId).toSorted();
    assert.deepEqual(await places(), ["g1", "g2"]);
    const moved = await signed(setup, { ...claims, groups: ["g3", "g2"], roles: ["other", "viewer-all"] });
    assert.deepEqual(
      [await places(), teamsOf(moved)],
      [
        ["g2", "g3"],
        ["g3", "g2"],
      ],
    );
    assert.ok(moved.roles.includes(Role.PROXY_ADMIN_VIEWER));
    assert.ok(setup.announcedScopes.includes("user:ann"));
    // Many tokens of one user that disagree, and one that says nothing of teams.
    await Promise.all(["g1", "g2", "g3", "g1"].map((group) => signed(setup, { ...claims, groups: [group] })));
    await signed(setup, claims);
    const { groups: _, ...silent } = claims;
    assert.deepEqual(teamsOf(await signed(setup, silent)), [""]);
    assert.deepEqual(await places(), ["g1", "g2"]);
    // The same person under another id, by the address; and one whose address nobody has checked.
    assert.equal((await signed(setup, { ...claims, sub: "ann-2" })).userId, "ann");
    await assert.rejects(signed(setup, { ...claims, sub: "x", email_verified: false }), /not verified/);
    await assert.rejects(signed(setup, { sub: "new", roles: "staff" }), /its user is not known here/);
    await assert.rejects(
      signed(setup, { ...claims, sub: "eve", email: "eve@example.com.evil.org" }),
      /not one of example.com/,
    );
    await setup.close();
  });

  test(`a token of several teams is each of them, the asked for alone, and never another (${name})`, async () => {
    const setup = await setUpTokens(
      url,
      "team_ids_jwt_field: groups\nteam_alias_jwt_field: team_name\nenforce_team_based_model_access: true\nuser_id_jwt_field: sub\nuser_id_upsert: true",
    );
    const { database } = setup;
    await storeTeam(database, "m1", { blocked: true });
    await storeTeam(database, "m2", { models: ["gpt-4o"], limits: { tpmLimit: 9n } });
    await setup.client(TeamService).createTeam({ teamId: "m3", settings: { teamAlias: "Third" } }, master);
    const claims = { sub: "bob", groups: ["m1", "m2"], team_name: "Third" };
    const principal = await signed(setup, claims);
    assert.deepEqual(teamsOf(principal), ["m2", "m3", "m1"]);
    assert.deepEqual(principal.teamIds.toSorted(), ["m1", "m2", "m3"]);
    assert.deepEqual(scopesOf(principal), ["user:bob", "team:m2", "member:m2:bob"]);
    assert.deepEqual(teamsOf(await signed(setup, claims, "m3")), ["m3"]);
    assert.equal((await signed(setup, claims, "m1")).blocked, true);
    await assert.rejects(signed(setup, claims, "m4"), /not one of the token's/);
    const alone = await signed(setup, { sub: "bob", groups: ["gone"] });
    assert.deepEqual(
      alone.rights.map(({ level, models }) => [level, models]),
      [["team", ["no-default-models"]]],
    );
    await setup.close();
  });
}

const [{ url: anyUrl }] = databases.all as [(typeof databases.all)[number]];

test("a team's own token calls models and reads; an administrator's manages, and nothing else", async () => {
  const setup = await setUpTokens(anyUrl, "team_id_jwt_field: client_id\nteam_id_upsert: true\nuser_id_jwt_field: uid");
  const team = await signed(setup, { client_id: "made-team" });
  assert.deepEqual(
    [team.teamId, team.roles, team.allowedRoutes],
    ["made-team", [Role.KEY], ["llm_api_routes", "info_routes"]],
  );
  const admin = await setup.who(await setup.provider.issue("urn:sluice", "litellm_proxy_admin chat"));
  assert.deepEqual(admin.roles, [Role.KEY, Role.PROXY_ADMIN]);
  assert.ok(admin.allowedRoutes.includes("management_routes") && !admin.allowedRoutes.includes("llm_api_routes"));
  await setup.close();
});

test("roles and scopes narrow what a token may", async () => {
  const setup = await setUpTokens(
    anyUrl,
    [
      "object_id_jwt_field: oid",
      "roles_jwt_field: resource_access.gateway.roles",
      "role_mappings: [{ role: api.consumer, internal_role: team }, { role: person, internal_role: internal_user }, { role: boss, internal_role: proxy_admin }]",
      "enforce_rbac: true",
      "scope_mappings: [{ scope: chat, models: [gpt-4o] }, { scope: all, models: ['*'], routes: [/v1/chat/completions] }]",
      "enforce_scope_based_access: true",
    ].join("\n"),
    { general: "  role_permissions:\n    - { role: team, models: [claude], routes: [/v1/messages] }\n" },
  );
  const rolesAre = (...roles: string[]) => ({ resource_access: { gateway: { roles } } });
  const consumer = await signed(setup, { oid: "no-such-team", scope: "chat", ...rolesAre("api.consumer") });
  assert.deepEqual([consumer.teamId, consumer.userId], ["no-such-team", ""]);
  assert.deepEqual(
    consumer.rights.map(({ level, models }) => [level, models]),
    [
      ["role", ["claude"]],
      ["scope", ["gpt-4o"]],
    ],
  );
  assert.deepEqual(consumer.allowedRoutes, ["/v1/messages"]);
  const person = await signed(setup, { oid: "p1", scope: ["chat", "all"], ...rolesAre("person") });
  assert.deepEqual([person.teamId, person.userId, person.allowedRoutes], ["", "p1", ["/v1/chat/completions"]]);
  assert.deepEqual(
    person.rights.map(({ models }) => models),
    [["gpt-4o", "*"]],
  );
  assert.ok((await signed(setup, { oid: "b", ...rolesAre("boss") })).roles.includes(Role.PROXY_ADMIN));
  await assert.rejects(signed(setup, { oid: "p1", scope: "chat", ...rolesAre("stranger") }), /none of the roles/);
  await assert.rejects(
    signed(setup, { oid: "p1", scope: "email", ...rolesAre("person") }),
    /none of the token's scopes/,
  );
  await setup.close();
});

test("a token that names nobody is nobody", async () => {
  const setup = await setUpTokens(anyUrl, "admin_jwt_scope: boss");
  await assert.rejects(signed(setup, {}), /names no user and no team/);
  assert.ok((await signed(setup, { scope: "x boss" })).roles.includes(Role.PROXY_ADMIN));
  await assert.rejects(signed(setup, { scope: "litellm_proxy_admin" }), /names no user/);
  await setup.close();
});

test("of two providers each has its own audience, claims and subjects", async () => {
  const other = await startIdentityProvider();
  const setup = await setUpTokens(anyUrl, "", {
    env: () => ({}),
    jwtauth: (provider) =>
      [
        "user_id_upsert: true",
        `issuers: [{ issuer: '${provider.issuer}', audience: urn:sluice, user_id_jwt_field: sub }, { issuer: '${other.issuer}', audience: urn:other, user_id_jwt_field: uid }]`,
      ].join("\n"),
  });
  const here = await signed(setup, { sub: "same" });
  const there = await setup.who(await other.sign({ sub: "same", uid: "somebody-else", aud: "urn:other" }));
  assert.deepEqual([here.userId, there.userId], ["same", "somebody-else"]);
  assert.notEqual(here.keyId, there.keyId);
  await assert.rejects(signed(setup, { aud: "urn:other" }), /claim aud is not accepted/);
  await assert.rejects(
    setup.who(await other.sign({ iss: setup.provider.issuer })),
    /no key of an accepted issuer has signed it/,
  );
  await assert.rejects(signed(setup, { iss: "https://third.example" }), /issuer is not accepted/);
  await setup.close();
  await other.stop();
});
