import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import { ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { Project, TeamMember, VirtualKey } from "./db/entities.ts";
import { as, generate, master, refused, setUp } from "./testing/auth-fixture.ts";
import { storedColumns, storeOrganization } from "./testing/stored-rows.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

const viewer = as({ roles: [Role.PROXY_ADMIN_VIEWER] });
const person = (userId: string, teamIds: string[] = []) => as({ userId, teamIds, roles: [Role.INTERNAL_USER] });
const teamAdmin = (userId: string, ...ids: string[]) =>
  as({ userId, teamIds: ids, adminTeamIds: ids, roles: [Role.INTERNAL_USER, Role.TEAM_ADMIN] });
const orgAdmin = (...ids: string[]) => as({ userId: "boss", adminOrganizationIds: ids, roles: [Role.ORG_ADMIN] });

for (const { name, url } of databases.all) {
  test(`a team is made with members, changed, blocked and deleted with all it has (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, database, announced, announcedScopes, spent } = setup;
    const teams = setup.client(TeamService);
    const { team } = await teams.createTeam(
      {
        teamId: "t",
        settings: { teamAlias: "T", models: ["gpt-4o"], limits: { maxBudget: 9n }, teamMemberBudget: 3n },
        members: ["plain"],
        membersWithRoles: [{ userEmail: "Lead@example.org", role: "admin" }],
      },
      person("maker"),
    );
    const lead = team?.membersWithRoles.find(({ userEmail }) => userEmail === "Lead@example.org")?.userId ?? "";
    assert.deepEqual(
      team?.membersWithRoles.map(({ userId, role }) => [userId, role]).toSorted(),
      [
        ["maker", "admin"],
        ["plain", "user"],
        [lead, "admin"],
      ].toSorted(),
    );
    assert.deepEqual([team?.members, team?.admins.length, team?.settings?.blocked], [["plain"], 2, false]);
    assert.ok(["team:t", "user:plain", "member:t:plain"].every((scope) => announcedScopes.includes(scope)));

    const key = await generate(setup.keys, { teamId: "t", userId: "plain" }, master);
    spent.set("team:t", 5n).set("member:t:plain", 2n).set(`key:${key.token}`, 2n);
    const info = await teams.getTeamInfo({ teamId: "t" }, person("plain", ["t"]));
    assert.deepEqual([info.teamInfo?.team?.spend, info.keys[0]?.token, info.keys[0]?.spend], [5n, key.token, 2n]);
    assert.equal(info.teamInfo?.teamMemberBudgetTable?.limits?.maxBudget, 3n);
    const place = info.teamMemberships.find(({ userId }) => userId === "plain");
    assert.deepEqual([place?.spend, place?.litellmBudgetTable?.limits?.maxBudget], [2n, 3n]);
    assert.equal((await teams.getTeamInfo({ keyLimit: 0 }, as({ teamId: "t" }))).keys.length, 0);

    const updated = await teams.updateTeam(
      {
        teamId: "t",
        settings: { models: ["gpt-4o", "claude-opus"] },
        updateMask: { paths: ["settings.models", "settings.limits.max_budget"] },
      },
      master,
    );
    assert.deepEqual(
      [updated.data?.settings?.models.length, updated.data?.settings?.limits?.maxBudget],
      [2, undefined],
    );

    await teams.blockTeam({ teamId: "t" }, master);
    assert.equal((await auth.authenticate({ keyHash: key.token })).principal?.blocked, true);
    const unblocked = await teams.unblockTeam({ teamId: "t" }, master);
    assert.equal(unblocked.team?.settings?.blocked, false);
    assert.equal((await auth.authenticate({ keyHash: key.token })).principal?.blocked, false);

    await database.em().insert(Project, { projectId: "p", teamId: "t", ...storedColumns(ProjectSettingsSchema, {}) });
    announced.length = 0;
    assert.deepEqual((await teams.deleteTeams({ teamIds: ["t", "t"] }, master)).deletedTeams, ["t"]);
    assert.deepEqual(announced, [key.token]);
    const em = database.em();
    const left = [em.count(VirtualKey, { teamId: "t" }), em.count(TeamMember, { teamId: "t" }), em.count(Project)];
    assert.deepEqual(await Promise.all(left), [0, 0, 0]);
    await refused(auth.authenticate({ keyHash: key.token }), Reason.KEY_INVALID, "key");
    await refused(teams.deleteTeams({ teamIds: ["t"] }, master), Reason.NOT_FOUND, "team_ids");
    await setup.close();
  });

  test(`members join, change and leave; their keys follow (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, announcedScopes } = setup;
    const teams = setup.client(TeamService);
    const users = setup.client(UserService);
    await teams.createTeam({ teamId: "m", settings: { teamMemberRpmLimit: 4n } }, master);
    const known = { userId: "known", settings: { userEmail: "Known@example.org" }, autoCreateKey: false };
    await users.createUser(known, master);
    const joined = await teams.addTeamMembers(
      {
        teamId: "m",
        member: [
          { userEmail: "known@EXAMPLE.org", role: "user" },
          { userId: "fresh" },
          { userId: "fresh", role: "admin" },
        ],
        maxBudgetInTeam: 7n,
        budgetDuration: "1d",
        allowedModels: ["gpt-4o"],
      },
      teamAdmin("lead", "m"),
    );
    assert.deepEqual(
      joined.updatedUsers.map(({ userId, teams: of }) => [userId, of.join()]),
      [
        ["known", "m"],
        ["fresh", "m"],
      ],
    );
    assert.deepEqual(
      joined.updatedTeamMemberships.map(({ userId, litellmBudgetTable, allowedModels }) => [
        userId,
        litellmBudgetTable?.limits?.maxBudget,
        litellmBudgetTable?.limits?.rpmLimit,
        allowedModels.join(),
      ]),
      [
        ["known", 7n, 4n, "gpt-4o"],
        ["fresh", 7n, 4n, "gpt-4o"],
      ],
    );
    const again = { teamId: "m", member: [{ userId: "fresh" }] };
    await refused(teams.addTeamMembers(again, master), Reason.ALREADY_TEAM_MEMBER, "user_id");
    const more = await teams.addTeamMembers({ ...again, member: [{ userId: "fresh" }, { userId: "third" }] }, master);
    assert.deepEqual(
      more.updatedUsers.map(({ userId }) => userId),
      ["third"],
    );

    const bulk = await teams.bulkAddTeamMembers(
      { teamId: "m", members: [{ userId: "third" }, { userId: "fourth" }, { userId: "fourth" }] },
      master,
    );
    assert.deepEqual(
      bulk.results.map(({ success }) => success),
      [false, true, false],
    );
    assert.deepEqual([bulk.totalRequested, bulk.successfulAdditions, bulk.failedAdditions], [3, 1, 2]);
    assert.equal(bulk.updatedTeam?.membersWithRoles.length, 4);

    const key = await generate(setup.keys, { teamId: "m", userId: "fresh" }, master);
    const budget = async () => {
      const { principal } = await auth.authenticate({ keyHash: key.token });
      return principal?.scopes.find(({ scope }) => scope === "member:m:fresh");
    };
    assert.deepEqual([(await budget())?.maxBudgetNanoUsd, (await budget())?.rpmLimit], [7n, 4]);
    const paths = ["max_budget_in_team", "rpm_limit", "role"];
    const changed = await teams.updateTeamMember(
      { teamId: "m", userId: "fresh", rpmLimit: 2n, role: "admin", updateMask: { paths } },
      master,
    );
    assert.deepEqual(
      [changed.maxBudgetInTeam, changed.rpmLimit, changed.budgetDuration, changed.role],
      [undefined, 2n, "1d", "admin"],
    );
    assert.deepEqual([(await budget())?.maxBudgetNanoUsd, (await budget())?.rpmLimit], [undefined, 2]);
    const { principal } = await auth.authenticate({ keyHash: key.token });
    assert.deepEqual([principal?.adminTeamIds, principal?.rights[0]?.models], [["m"], ["gpt-4o"]]);

    announcedScopes.length = 0;
    const { team } = await teams.deleteTeamMember({ teamId: "m", userId: "fresh" }, master);
    assert.ok(team?.admins.includes("fresh"));
    assert.deepEqual(announcedScopes.toSorted(), ["member:m:fresh", "user:fresh"]);
    await refused(auth.authenticate({ keyHash: key.token }), Reason.KEY_INVALID, "key");
    const gone = { teamId: "m", userEmail: "nobody@example.org" };
    await refused(teams.deleteTeamMember(gone, master), Reason.NOT_FOUND, "user_email");
    const all = await teams.bulkAddTeamMembers({ teamId: "m", allUsers: true }, master);
    assert.ok(all.results.some(({ userId, success }) => userId === "fresh" && success));
    await setup.close();
  });

  test(`lists of teams are cut into pages, narrowed and sorted (${name})`, async () => {
    const setup = await setUp(url);
    const teams = setup.client(TeamService);
    await storeOrganization(setup.database, "listed");
    const id = (n: number) => `list-${n}_%`;
    for (let n = 0; n < 5; n += 1) {
      const organizationId = n < 2 ? "listed" : undefined;
      const members = n === 3 ? ["lister"] : [];
      const settings = { teamAlias: `Alias ${9 - n}`, organizationId };
      await teams.createTeam({ teamId: id(n), settings, members }, master);
    }
    const search = async (request: object) => teams.searchTeams({ teamAlias: "alias", ...request }, master);
    const first = await search({ pageSize: 2, sortBy: "team_alias" });
    assert.deepEqual(
      [first.teams.map(({ team }) => team?.teamId), first.total, first.totalPages],
      [[id(4), id(3)], 5, 3],
    );
    assert.equal((await search({ search: "list-1_%" })).total, 1);
    assert.equal((await search({ search: "list-", searchTeamIdMatch: "prefix" })).total, 5);
    assert.equal((await search({ search: "list_", searchTeamIdMatch: "prefix" })).total, 0);
    assert.equal((await search({ search: "ALIAS 9" })).total, 1);
    assert.equal((await search({ organizationId: "listed" })).total, 2);
    assert.equal((await search({ organizationId: "default_organization" })).total, 3);
    await refused(search({ sortBy: "spend; drop table auth.team" }), Reason.INVALID_REQUEST, "sort_by");
    await refused(search({ searchTeamIdMatch: "like" }), Reason.INVALID_REQUEST, "search_team_id_match");

    await generate(setup.keys, { teamId: id(3) }, master);
    const listed = await teams.listTeams({ userId: "lister" }, viewer);
    assert.deepEqual(
      listed.teams.map(({ team, teamMemberships, keys }) => [team?.teamId, teamMemberships.length, keys.length]),
      [[id(3), 1, 1]],
    );
    const byAlias = await teams.listTeams({ organizationId: "listed" }, master);
    assert.deepEqual(
      byAlias.teams.map(({ team }) => team?.teamId),
      [id(1), id(0)],
    );
    assert.equal((await teams.listTeams({}, orgAdmin("listed"))).teams.length, 2);
    assert.equal((await teams.listTeams({}, person("lister", [id(3)]))).teams.length, 1);
    assert.equal((await teams.searchTeams({}, person("nobody"))).total, 0);
    await refused(teams.listTeams({ userId: "lister" }, person("nobody")), Reason.PERMISSION_DENIED, "user_id");
    await setup.close();
  });
}

const [anyDatabase] = databases.all;
assert.ok(anyDatabase);

test("a team's own admin lowers its bounds and does not move them outwards", async () => {
  const setup = await setUp(anyDatabase.url);
  const teams = setup.client(TeamService);
  const limits = { maxBudget: 10n, rpmLimit: 5n, budgetDuration: "30d" };
  await storeOrganization(setup.database, "above");
  const settings = { models: ["gpt-4o", "claude-*"], limits, organizationId: "above" };
  await teams.createTeam({ teamId: "bounded", settings }, master);
  await teams.createTeam({ teamId: "other" }, master);
  const admin = teamAdmin("lead", "bounded");
  const change = (settings: object, ...paths: string[]) => ({
    teamId: "bounded",
    settings,
    updateMask: { paths: paths.map((path) => `settings.${path}`) },
  });
  const refusals: [settings: object, path: string, param: string][] = [
    [{ limits: { maxBudget: 11n } }, "limits.max_budget", "max_budget"],
    [{}, "limits.rpm_limit", "rpm_limit"],
    [{ limits: { budgetDuration: "1d" } }, "limits.budget_duration", "budget_duration"],
    [{ limits: { budgetId: "b" } }, "limits", "limits"],
    [{ models: ["gpt-5"] }, "models", "models"],
    [{ models: ["claude*"] }, "models", "models"],
    [{}, "models", "models"],
    [{ blocked: false }, "blocked", "blocked"],
    [{ accessGroupIds: ["g"] }, "access_group_ids", "access_group_ids"],
    [{}, "organization_id", "organization_id"],
  ];
  for (const [values, path, param] of refusals) {
    await refused(teams.updateTeam(change(values, path), admin), Reason.PERMISSION_DENIED, param);
  }
  const allowed = change(
    { models: ["claude-opus"], limits: { maxBudget: 9n }, teamAlias: "mine", teamMemberBudget: 1n },
    "models",
    "limits.max_budget",
    "team_alias",
    "team_member_budget",
  );
  assert.equal((await teams.updateTeam(allowed, admin)).data?.settings?.teamAlias, "mine");
  await teams.updateTeam(change({ limits: { maxBudget: 99n } }, "limits.max_budget"), orgAdmin("above"));
  for (const caller of [teamAdmin("lead", "other"), orgAdmin("elsewhere")]) {
    for (const teamId of ["bounded", "no such team"]) {
      const request = { ...change({ teamAlias: "x" }, "team_alias"), teamId };
      await refused(teams.updateTeam(request, caller), Reason.PERMISSION_DENIED, "team_id");
      await refused(
        teams.addTeamMembers({ teamId, member: [{ userId: "x" }] }, caller),
        Reason.PERMISSION_DENIED,
        "team_id",
      );
      await refused(teams.deleteTeams({ teamIds: [teamId] }, caller), Reason.PERMISSION_DENIED, "team_ids");
    }
  }
  await refused(teams.getTeamInfo({ teamId: "bounded" }, person("stranger")), Reason.PERMISSION_DENIED, "team_id");
  await refused(teams.getTeamInfo({ teamId: "nothing" }, person("stranger")), Reason.PERMISSION_DENIED, "team_id");
  await refused(teams.blockTeam({ teamId: "bounded" }, orgAdmin("elsewhere")), Reason.PERMISSION_DENIED, "team_id");
  await refused(
    teams.bulkAddTeamMembers({ teamId: "bounded", allUsers: true }, admin),
    Reason.PERMISSION_DENIED,
    "all_users",
  );
  await setup.close();
});

test("a team fits its organization, and an internal user's team the user", async () => {
  const setup = await setUp(anyDatabase.url);
  const teams = setup.client(TeamService);
  const organizations = setup.client(OrganizationService);
  const orgSettings = { organizationAlias: "Fit", models: ["gpt-*"], limits: { maxBudget: 10n, rpmLimit: 10n } };
  await organizations.createOrganization({ organizationId: "fit", settings: orgSettings }, master);
  const make = (settings: object, options = master) =>
    teams.createTeam({ settings: { organizationId: "fit", ...settings } }, options);
  await refused(make({ models: ["claude-opus"] }), Reason.INVALID_REQUEST, "models");
  await refused(make({ limits: { maxBudget: 11n } }), Reason.INVALID_REQUEST, "max_budget");
  await refused(make({ organizationId: "none" }), Reason.INVALID_REQUEST, "organization_id");
  await refused(make({ accessGroupIds: ["none"] }), Reason.INVALID_REQUEST, "access_group_ids");
  await refused(make({ limits: { budgetId: "none" } }), Reason.INVALID_REQUEST, "budget_id");
  await refused(make({ teamMemberPermissions: ["/key/steal"] }), Reason.INVALID_REQUEST, "team_member_permissions");
  await refused(make({ rpmLimitType: "dynamic" }), Reason.INVALID_REQUEST, "rpm_limit_type");
  const guaranteed = { limits: { rpmLimit: 6n }, rpmLimitType: "guaranteed_throughput" };
  await make(guaranteed);
  await refused(make(guaranteed), Reason.INVALID_REQUEST, "rpm_limit");
  await refused(make({}, orgAdmin("other")), Reason.PERMISSION_DENIED, "organization_id");
  const { team } = await make({ models: ["gpt-4o"] }, orgAdmin("fit"));
  const teamId = team?.teamId ?? "";
  await refused(teams.addTeamModels({ teamId, models: ["claude-opus"] }, master), Reason.INVALID_REQUEST, "models");
  const models = async (work: Promise<{ team?: { settings?: { models: string[] } } }>) =>
    (await work).team?.settings?.models;
  assert.deepEqual(await models(teams.addTeamModels({ teamId, models: ["gpt-5"] }, master)), ["gpt-4o", "gpt-5"]);
  assert.deepEqual(await models(teams.deleteTeamModels({ teamId, models: ["gpt-4o"] }, master)), ["gpt-5"]);
  assert.deepEqual(await models(teams.deleteTeamModels({ teamId, models: ["gpt-5"] }, master)), ["no-default-models"]);
  assert.deepEqual(await models(teams.addTeamModels({ teamId, models: ["gpt-5"] }, master)), ["gpt-5"]);
  await teams.createTeam({ teamId: "free", settings: { models: ["gpt-4o"] }, members: ["outsider"] }, master);
  const move = {
    teamId: "free",
    settings: { organizationId: "fit" },
    updateMask: { paths: ["settings.organization_id"] },
  };
  await refused(teams.updateTeam(move, master), Reason.PERMISSION_DENIED, "organization_id");
  await organizations.addOrganizationMembers({ organizationId: "fit", member: [{ userId: "outsider" }] }, master);
  const key = await generate(setup.keys, { teamId: "free" }, master);
  assert.equal((await teams.updateTeam(move, master)).data?.settings?.organizationId, "fit");
  const { info } = await setup.keys.getKeyInfo({ key: key.token }, master);
  assert.equal(info?.settings?.organizationId, "fit");

  const own = { models: ["gpt-4o"], limits: { maxBudget: 5n, tpmLimit: 7n } };
  await setup.client(UserService).createUser({ userId: "capped", settings: own, autoCreateKey: false }, master);
  const capped = person("capped");
  const alone = (settings: object) => teams.createTeam({ settings }, capped);
  await refused(alone({ limits: { maxBudget: 6n } }), Reason.PERMISSION_DENIED, "max_budget");
  await refused(alone({ models: ["gpt-5"] }), Reason.PERMISSION_DENIED, "models");
  await refused(alone({ accessGroupIds: ["g"] }), Reason.PERMISSION_DENIED, "access_group_ids");
  await refused(alone({ organizationId: "fit" }), Reason.PERMISSION_DENIED, "organization_id");
  const { team: mine } = await alone({ limits: { tpmLimit: 3n } });
  const { limits, models: inherited } = mine?.settings ?? {};
  assert.deepEqual([limits?.maxBudget, limits?.tpmLimit, inherited], [5n, 3n, ["gpt-4o"]]);
  await setup.close();
});

test("ids are unique, a stale version is a conflict, permissions are listed and set", async () => {
  const setup = await setUp(anyDatabase.url);
  const teams = setup.client(TeamService);
  await teams.createTeam({ teamId: "once" }, master);
  await refused(teams.createTeam({ teamId: "once" }, master), Reason.CONFLICT, "team_id");
  const rename = {
    teamId: "once",
    version: 1,
    settings: { teamAlias: "a" },
    updateMask: { paths: ["settings.team_alias"] },
  };
  const outcomes = await Promise.allSettled([teams.updateTeam(rename, master), teams.updateTeam(rename, master)]);
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  await refused(teams.updateTeam(rename, master), Reason.CONFLICT, "version");
  const usual = await teams.getTeamPermissions({ teamId: "once" }, as({ teamId: "once" }));
  assert.deepEqual(usual.teamMemberPermissions, ["/key/info", "/key/health", "/key/list"]);
  assert.ok(usual.allAvailablePermissions.includes("/key/{key_id}/regenerate"));
  const set = { teamId: "once", teamMemberPermissions: ["/key/generate", "/key/generate"] };
  const { team } = await teams.updateTeamPermissions(set, teamAdmin("lead", "once"));
  assert.deepEqual(team?.settings?.teamMemberPermissions, ["/key/generate"]);
  assert.deepEqual((await teams.getTeamPermissions({ teamId: "once" }, viewer)).teamMemberPermissions, [
    "/key/generate",
  ]);
  const noBody = { teamId: "once", members: [], allUsers: false };
  await refused(teams.bulkAddTeamMembers(noBody, master), Reason.INVALID_REQUEST, "members");
  await refused(teams.addTeamMembers({ teamId: "once", member: [{}] }, master), Reason.INVALID_REQUEST, "member");
  const king = { teamId: "once", member: [{ userId: "k", role: "king" }] };
  await refused(teams.addTeamMembers(king, master), Reason.INVALID_REQUEST, "role");
  await refused(teams.getTeamInfo({}, master), Reason.INVALID_REQUEST, "team_id");
  assert.deepEqual((await teams.listAvailableTeams({}, viewer)).teams, []);
  await setup.close();
});

test("deleted teams are listed to those who read everything and to their organization's admins", async () => {
  const [anyDatabase] = databases.all;
  assert.ok(anyDatabase);
  const setup = await setUp(anyDatabase.url);
  const teams = setup.client(TeamService);
  await storeOrganization(setup.database, "former");
  for (const [teamId, organizationId] of [
    ["gone-1", "former"],
    ["gone-2", undefined],
  ] as const) {
    const settings = { teamAlias: `Gone ${teamId}`, organizationId, limits: { maxBudget: 5n } };
    await teams.createTeam({ teamId, settings, members: ["anna"] }, master);
  }
  setup.spent.set("team:gone-1", 3n);
  await teams.deleteTeams({ teamIds: ["gone-1", "gone-2"] }, master);
  const list = async (request: object, options = master) => {
    const { teams: found, total } = await teams.searchTeams({ status: "deleted", search: "gone", ...request }, options);
    assert.equal(found.length, total);
    return found;
  };
  const [first, second] = await list({ sortBy: "team_id" }, viewer);
  assert.deepEqual([first?.team?.teamId, second?.team?.teamId], ["gone-1", "gone-2"]);
  assert.deepEqual([first?.team?.spend, first?.team?.settings?.limits?.maxBudget], [3n, 5n]);
  assert.deepEqual(first?.team?.members, ["anna"]);
  assert.ok(first?.deletedAt && first.deletedBy);
  assert.equal((await list({ organizationId: "default_organization" })).length, 1);
  assert.equal((await list({ userId: "anna" })).length, 2);
  assert.equal((await list({ userId: "bert" })).length, 0);
  assert.deepEqual(
    (await list({}, orgAdmin("former"))).map(({ team }) => team?.teamId),
    ["gone-1"],
  );
  assert.equal((await list({}, person("anna", ["gone-1"]))).length, 0);
  await refused(teams.searchTeams({ status: "all" }, master), Reason.INVALID_REQUEST, "status");
  await setup.close();
});
