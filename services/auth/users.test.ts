import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { SpendReportService } from "#gen/sluice/auth/v1/spend_report_service_pb.ts";
import { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { readEnv } from "./config.ts";
import { readKeyPolicy } from "./config-file.ts";
import { TeamMember, User, VirtualKey } from "./db/entities.ts";
import { as, generate, master, refused, setUp } from "./testing/auth-fixture.ts";
import { storeOrganization, storeTeam } from "./testing/stored-rows.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

const viewer = as({ roles: [Role.PROXY_ADMIN_VIEWER] });
const self = (userId: string) => as({ userId, roles: [Role.INTERNAL_USER] });
const orgAdmin = (...ids: string[]) => as({ userId: "boss", adminOrganizationIds: ids, roles: [Role.ORG_ADMIN] });

for (const { name, url } of databases.all) {
  test(`a user is made with a key, changed, listed and deleted with all it has (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, database, announced, announcedScopes, spent } = setup;
    const users = setup.client(UserService);
    await storeTeam(database, "t");
    const made = await users.createUser(
      {
        userId: "anna",
        settings: { userEmail: "Anna@example.org", models: ["gpt-4o"], limits: { maxBudget: 7n } },
        teams: [{ teamId: "t" }],
        keyAlias: "anna's",
      },
      master,
    );
    assert.match(made.key, /^sk-/);
    assert.deepEqual([made.user?.teams, made.user?.settings?.userRole], [["t"], "internal_user"]);
    const { principal } = await auth.authenticate({ keyHash: made.token ?? "" });
    assert.deepEqual([principal?.userId, principal?.scopes[1]?.maxBudgetNanoUsd], ["anna", 7n]);
    assert.deepEqual(principal?.roles, [Role.KEY, Role.INTERNAL_USER]);
    assert.deepEqual([announced.at(-1), announcedScopes.at(-1)], [made.token, "user:anna"]);

    spent.set("user:anna", 3n);
    const updated = await users.updateUser(
      {
        userId: "anna",
        settings: { limits: { rpmLimit: 5n } },
        updateMask: { paths: ["settings.limits.max_budget", "settings.limits.rpm_limit"] },
      },
      master,
    );
    assert.deepEqual(
      [updated.data?.settings?.limits?.maxBudget, updated.data?.settings?.limits?.rpmLimit, updated.data?.spend],
      [undefined, 5n, 3n],
    );
    const byAddress = await users.updateUser(
      { settings: { userEmail: "anna@EXAMPLE.org", userAlias: "A" }, updateMask: { paths: ["settings.user_alias"] } },
      master,
    );
    assert.deepEqual([byAddress.userId, byAddress.data?.settings?.userEmail], ["anna", "Anna@example.org"]);
    const upserted = await users.updateUser({ settings: { userEmail: "new@example.org" } }, master);
    assert.equal(upserted.data?.settings?.userEmail, "new@example.org");
    await users.updateUser({ userId: "anna", spend: 0n }, master);
    assert.equal(spent.get("user:anna"), 0n);

    const info = await users.getUserInfo({ userId: "anna" }, viewer);
    assert.deepEqual([info.userInfo?.userId, info.keys[0]?.token, info.teams[0]?.teamId], ["anna", made.token, "t"]);
    assert.equal((await users.getUser({}, self("anna"))).user?.userId, "anna");

    assert.equal((await users.deleteUsers({ userIds: ["anna", "anna"] }, master)).deleted, 1);
    const em = database.em();
    assert.equal(
      (await em.count(VirtualKey, { userId: "anna" })) + (await em.count(TeamMember, { userId: "anna" })),
      0,
    );
    await refused(auth.authenticate({ keyHash: made.token ?? "" }), Reason.KEY_INVALID, "key");
    await refused(users.deleteUsers({ userIds: [upserted.userId, "anna"] }, master), Reason.NOT_FOUND, "user_ids");
    assert.equal(await em.count(User, { userId: upserted.userId }), 1);
    await setup.close();
  });

  test(`the list of users is cut into pages, narrowed and sorted (${name})`, async () => {
    const setup = await setUp(url);
    const users = setup.client(UserService);
    const prefix = `page-${name.toLowerCase()}`;
    for (let n = 0; n < 7; n += 1) {
      const userEmail = `${prefix}_${n}%@example.org`;
      const settings = { userEmail, userAlias: `a${7 - n}`, userRole: n < 2 ? "proxy_admin_viewer" : "internal_user" };
      await users.createUser({ userId: `${prefix}-${n}`, settings, autoCreateKey: false }, master);
    }
    await generate(setup.keys, { userId: `${prefix}-3` }, master);
    const list = async (request: object) => users.listUsers({ userEmail: prefix, ...request }, master);
    const first = await list({ pageSize: 3, sortBy: "user_alias" });
    assert.deepEqual(
      [first.users.map(({ userId }) => userId.slice(-1)).join(""), first.total, first.totalPages],
      ["654", 7, 3],
    );
    assert.equal((await list({ page: 3, pageSize: 3, sortBy: "user_alias" })).users.length, 1);
    assert.equal(first.users[0]?.keyCount, 0);
    assert.equal(
      (await list({ userIds: `${prefix}-3, ${prefix}-4` })).users.find((u) => u.keyCount === 1)?.userId,
      `${prefix}-3`,
    );
    assert.equal((await list({ role: "proxy_admin_viewer" })).total, 2);
    assert.equal((await users.listUsers({ userEmail: "0%@" }, master)).total > 0, true);
    assert.equal((await users.listUsers({ userEmail: `${prefix}X` }, master)).total, 0);
    await refused(list({ pageSize: 101 }), Reason.INVALID_REQUEST, "size");
    await refused(list({ sortBy: "spend; drop table auth.team" }), Reason.INVALID_REQUEST, "sort_by");
    await refused(list({ sortOrder: "sideways" }), Reason.INVALID_REQUEST, "sort_order");
    await setup.close();
  });
}

const [anyDatabase] = databases.all;
assert.ok(anyDatabase);

test("a user's first key keeps to the rules for keys", async () => {
  const file = `litellm_settings:
  default_key_generate_params: {models: [gpt-4o]}
  upperbound_key_generate_params: {max_budget: 5, duration: 30d}
general_settings: {default_team_disabled: true}`;
  const { policy } = readKeyPolicy(parseYaml(file, "config.yaml", {}));
  const setup = await setUp(anyDatabase.url, true, true, readEnv({}, { keyPolicy: policy }));
  await storeTeam(setup.database, "t");
  await storeTeam(setup.database, "small", { models: ["o3"] });
  const users = setup.client(UserService);
  const made = await users.createUser({ teamId: "t" }, master);
  const { info } = await setup.keys.getKeyInfo({ key: made.token ?? "" }, master);
  assert.deepEqual([info?.settings?.models, info?.settings?.limits?.maxBudget], [["gpt-4o"], 5_000_000_000n]);
  assert.ok(made.expires);
  assert.equal((await users.createUser({ userId: "without a team" }, master)).key, "");
  const refusals: [object, string][] = [
    [{ autoCreateKey: true }, "team_id"],
    [{ teamId: "t", duration: "31d" }, "duration"],
    [{ teamId: "small" }, "models"],
    [{ teams: [{ teamId: "t", userRole: "king" }] }, "role"],
  ];
  for (const [request, param] of refusals) {
    await refused(users.createUser({ userId: "nobody", ...request }, master), Reason.INVALID_REQUEST, param);
  }
  await refused(users.getUser({ userId: "nobody" }, master), Reason.NOT_FOUND, "user_id");
  await setup.close();
});

test("ids, addresses and SSO ids are unique, and a stale version is a conflict", async () => {
  const setup = await setUp(anyDatabase.url);
  const users = setup.client(UserService);
  const create = (userId: string, settings: object) =>
    users.createUser({ userId, settings, autoCreateKey: false }, master);
  await create("u1", { userEmail: "u1@example.org", ssoUserId: "s1" });
  await refused(create("u1", {}), Reason.CONFLICT, "user_id");
  await refused(create("u2", { userEmail: "U1@EXAMPLE.ORG" }), Reason.CONFLICT, "user_email");
  await refused(create("u2", { ssoUserId: "s1" }), Reason.CONFLICT, "sso_user_id");
  await refused(create("u2", { userEmail: "nobody" }), Reason.INVALID_REQUEST, "user_email");
  await refused(create("u2", { userRole: "king" }), Reason.INVALID_REQUEST, "user_role");
  await refused(users.createUser({ teams: [{ teamId: "no-such-team" }] }, master), Reason.INVALID_REQUEST, "teams");
  const alias = (userAlias: string, version: number) => ({
    userId: "u1",
    version,
    settings: { userAlias },
    updateMask: { paths: ["settings.user_alias"] },
  });
  await users.updateUser(alias("first", 1), master);
  await refused(users.updateUser(alias("second", 1), master), Reason.CONFLICT, "version");
  const bulk = await users.bulkUpdateUsers({ users: [alias("third", 2), { userId: "nobody" }] }, master);
  assert.deepEqual([bulk.successfulUpdates, bulk.failedUpdates, bulk.results[1]?.success], [1, 1, false]);
  await setup.close();
});

test("who is no proxy admin manages users of its organizations, and itself a little", async () => {
  const setup = await setUp(anyDatabase.url);
  const users = setup.client(UserService);
  await storeOrganization(setup.database, "o1");
  await storeOrganization(setup.database, "o2");
  const member = { userId: "m", organizations: ["o1"], autoCreateKey: false };
  await refused(
    users.createUser({ ...member, organizations: [] }, orgAdmin("o1")),
    Reason.PERMISSION_DENIED,
    "user_id",
  );
  await refused(
    users.createUser({ ...member, organizations: ["o2"] }, orgAdmin("o1")),
    Reason.PERMISSION_DENIED,
    "user_id",
  );
  const admin = { ...member, settings: { userRole: "proxy_admin" } };
  await refused(users.createUser(admin, orgAdmin("o1")), Reason.PERMISSION_DENIED, "user_id");
  await users.createUser(member, orgAdmin("o1"));
  const change = (path: string) => ({
    userId: "m",
    settings: { userAlias: "x", userRole: "proxy_admin", limits: { maxBudget: 1n } },
    updateMask: { paths: [`settings.${path}`] },
  });
  await users.updateUser(change("limits.max_budget"), orgAdmin("o1"));
  await refused(users.updateUser(change("user_role"), orgAdmin("o1")), Reason.PERMISSION_DENIED, "user_id");
  await refused(users.updateUser(change("user_alias"), orgAdmin("o2")), Reason.PERMISSION_DENIED, "user_id");
  await users.updateUser(change("user_alias"), self("m"));
  await refused(users.updateUser(change("limits.max_budget"), self("m")), Reason.PERMISSION_DENIED, "user_id");
  await refused(users.getUser({ userId: "m" }, self("somebody")), Reason.PERMISSION_DENIED, "user_id");
  assert.equal((await users.listUsers({}, orgAdmin("o1"))).total, 1);
  assert.equal((await users.listUsers({ organizationIds: "o1" }, orgAdmin("o2"))).total, 0);
  await refused(users.deleteUsers({ userIds: ["m"] }, orgAdmin("o2")), Reason.PERMISSION_DENIED, "user_ids");
  assert.equal((await users.deleteUsers({ userIds: ["m"] }, orgAdmin("o1"))).deleted, 1);
  await setup.close();
});

test("who spends most comes first", async () => {
  const setup = await setUp(anyDatabase.url);
  const { keys, spent } = setup;
  const reports = setup.client(SpendReportService);
  const users = setup.client(UserService);
  const [cheap, dear] = [await generate(keys, {}, master), await generate(keys, {}, master)];
  for (const userId of ["s1", "s2"]) await users.createUser({ userId, autoCreateKey: false }, master);
  for (const [scope, amount] of Object.entries({
    [`key:${cheap.token}`]: 1n,
    [`key:${dear.token}`]: 5n,
    "user:s1": 2n,
    "user:s2": 3n,
    "user:gone": 9n,
  })) {
    spent.set(scope, amount);
  }
  const found = await reports.listKeySpend({}, viewer);
  assert.deepEqual(
    found.keys.map(({ token, spend }) => [token, spend]),
    [
      [dear.token, 5n],
      [cheap.token, 1n],
    ],
  );
  const byUser = await reports.listUserSpend({}, viewer);
  assert.deepEqual(
    byUser.users.map(({ userId }) => userId),
    ["s2", "s1"],
  );
  assert.equal((await reports.listUserSpend({ userId: "s1" }, viewer)).users.length, 1);
  await refused(reports.listKeySpend({}, self("s1")), Reason.PERMISSION_DENIED, "");
  await setup.close();
});
