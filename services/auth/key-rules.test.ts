import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { CallOptions } from "@connectrpc/connect";
import { ConfigurationError } from "#chassis/environment.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import { ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { readEnv } from "./config.ts";
import { readKeyPolicy } from "./config-file.ts";
import { AccessGroup, Project, VirtualKey } from "./db/entities.ts";
import { as, type FlatKey, generate, master, refused, setUp } from "./testing/auth-fixture.ts";
import { storedColumns, storeOrganization, storeTeam } from "./testing/stored-rows.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
const [anyDatabase] = databases.all;
assert.ok(anyDatabase);
const { url } = anyDatabase;

const user = (userId: string, more: object = {}) => as({ userId, roles: [Role.INTERNAL_USER], ...more });
const member = (userId: string, ...teamIds: string[]) => user(userId, { teamIds });
const teamAdmin = (userId: string, ...teamIds: string[]) =>
  user(userId, { teamIds, adminTeamIds: teamIds, roles: [Role.TEAM_ADMIN, Role.INTERNAL_USER] });

test("an internal user makes keys of its own, and changes of them what no administrator decides", async () => {
  const { keys, spent, close } = await setUp(url);
  const own = await generate(keys, { limits: { maxBudget: 5n } }, user("anna"));
  assert.deepEqual([own.settings?.userId, own.createdBy], ["anna", "anna"]);
  await refused(generate(keys, { userId: "bert" }, user("anna")), Reason.PERMISSION_DENIED, "key");
  await refused(generate(keys, { spend: 1n }, user("anna")), Reason.PERMISSION_DENIED, "key");
  const update = (settings: object, options: CallOptions, ...paths: string[]) =>
    keys.updateKey({ key: own.key, settings, updateMask: { paths: paths.map((path) => `settings.${path}`) } }, options);
  const renamed = await update(
    { keyAlias: "mine", limits: { maxBudget: 5n } },
    user("anna"),
    "key_alias",
    "limits.max_budget",
  );
  assert.equal(renamed.stored?.settings?.keyAlias, "mine");
  await refused(
    update({ limits: { maxBudget: 6n } }, user("anna"), "limits.max_budget"),
    Reason.PERMISSION_DENIED,
    "key",
  );
  await refused(update({}, user("anna"), "limits.max_budget"), Reason.PERMISSION_DENIED, "key");
  await refused(update({ userId: "bert" }, user("anna"), "user_id"), Reason.PERMISSION_DENIED, "key");
  await refused(keys.updateKey({ key: own.key, spend: 0n }, user("anna")), Reason.PERMISSION_DENIED, "key");
  for (const [settings, path] of [
    [{ tags: ["x"] }, "tags"],
    [{ projectId: "p" }, "project_id"],
    [{ organizationId: "o" }, "organization_id"],
    [{ tempBudgetIncrease: 1n, tempBudgetExpiry: { seconds: 1n } }, "temp_budget_increase"],
    [{ teamId: "t" }, "team_id"],
  ] as const) {
    const work = update(settings, user("anna"), path, "temp_budget_expiry");
    await refused(work, Reason.PERMISSION_DENIED, "key");
  }
  for (const place of [{ organizationId: "o" }, { projectId: "p" }, { teamId: "t" }]) {
    await refused(generate(keys, place, user("anna")), Reason.PERMISSION_DENIED, "key");
  }
  await keys.blockKey({ key: own.key }, master);
  await refused(keys.unblockKey({ key: own.key }, user("anna")), Reason.PERMISSION_DENIED, "key");
  await refused(update({ blocked: false }, user("anna"), "blocked"), Reason.PERMISSION_DENIED, "key");
  await refused(keys.regenerateKey({ key: own.key, spend: 0n }, user("anna")), Reason.PERMISSION_DENIED, "key");
  await refused(keys.resetKeySpend({ key: own.key, resetTo: 0n }, user("anna")), Reason.PERMISSION_DENIED, "key");

  const started = await generate(keys, { spend: 7n }, master);
  assert.deepEqual([started.spend, spent.get(`key:${started.token}`)], [7n, 7n]);
  assert.equal((await keys.updateKey({ key: started.key, spend: 9n }, master)).stored?.spend, 9n);
  await refused(keys.resetKeySpend({ key: started.key, resetTo: 10n }, master), Reason.INVALID_REQUEST, "reset_to");
  await refused(keys.resetKeySpend({ key: started.key }, master), Reason.INVALID_REQUEST, "reset_to");
  await refused(keys.resetKeySpend({ key: "sk-nobody-has-this", resetTo: 0n }, master), Reason.NOT_FOUND, "key");
  const reset = await keys.resetKeySpend({ key: started.key, resetTo: 2n }, master);
  assert.deepEqual([reset.keyHash, reset.spend, reset.previousSpend], [started.token, 2n, 9n]);

  await keys.updateKey({ key: started.key, version: 2, duration: "1h" }, master);
  await refused(keys.updateKey({ key: started.key, version: 2 }, master), Reason.CONFLICT, "version");
  const bulk = await keys.bulkUpdateKeys(
    {
      keys: [
        { key: started.key, settings: { tags: ["t"] }, updateMask: { paths: ["settings.tags"] } },
        { key: "sk-nobody-has-this" },
        {
          key: own.key,
          settings: { limits: { budgetId: "none" } },
          updateMask: { paths: ["settings.limits.budget_id"] },
        },
      ],
    },
    master,
  );
  assert.deepEqual([bulk.totalRequested, bulk.successfulUpdates[0]?.keyInfo?.settings?.tags], [3, ["t"]]);
  assert.deepEqual(
    bulk.failedUpdates.map(({ key }) => key),
    ["sk-nobody-has-this", own.key],
  );
  assert.match(bulk.failedUpdates[1]?.failedReason ?? "", /no budget 'none'/);
  await refused(keys.bulkUpdateKeys({}, master), Reason.INVALID_REQUEST, "keys");
  await close();
});

test("a team's keys obey the team: its models, organization, project, members' rights and throughput", async () => {
  const { keys, database, close } = await setUp(url);
  await storeOrganization(database, "org");
  await storeOrganization(database, "other-org");
  const em = database.em();
  const project = storedColumns(ProjectSettingsSchema, {});
  await em.upsert(Project, { projectId: "p", projectAlias: null, teamId: "another", ...project });
  const group = storedColumns(AccessGroupSettingsSchema, { accessModelNames: ["gemini-2", "gemini-3"] });
  await em.upsert(AccessGroup, { accessGroupId: "g", accessGroupName: "google-models", ...group });
  const team = {
    organizationId: "org",
    models: ["gpt-4o", "openai/*", "google-models"],
    teamMemberKeyDuration: "7d",
    limits: { rpmLimit: 100n, tpmLimit: 1000n, maxBudget: 50n, modelRpmLimit: { "gpt-4o": 10n } },
  };
  await storeTeam(database, "t", team);
  const make = (flat: FlatKey, options = master) => generate(keys, { teamId: "t", ...flat }, options);
  assert.equal(
    (await make({ models: ["openai/o3", "gemini-3", "google-models", "all-team-models"] })).settings?.organizationId,
    "org",
  );
  const badRequests: [FlatKey, string][] = [
    [{ models: ["claude"] }, "models"],
    [{ models: ["*"] }, "models"],
    [{ organizationId: "other-org" }, "organization_id"],
    [{ projectId: "p" }, "project_id"],
    [{ rpmLimitType: "guaranteed_throughput", limits: { rpmLimit: 101n } }, "rpm_limit"],
    [{ rpmLimitType: "guaranteed_throughput", limits: { modelRpmLimit: { "gpt-4o": 11n } } }, "model_rpm_limit"],
    [{ rpmLimitType: "guaranteed_throughput", limits: { modelRpmLimit: { "openai/o3": 101n } } }, "model_rpm_limit"],
    [{ tpmLimitType: "guaranteed_throughput", limits: { tpmLimit: 1001n } }, "tpm_limit"],
    [{ tpmLimitType: "guaranteed_throughput", limits: { maxBudget: 51n } }, "max_budget"],
  ];
  for (const [flat, param] of badRequests) await refused(make(flat), Reason.INVALID_REQUEST, param);
  const guaranteed = { rpmLimitType: "guaranteed_throughput", limits: { rpmLimit: 60n } };
  const both = await Promise.allSettled([make(guaranteed), make(guaranteed)]);
  assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  await make({ ...guaranteed, limits: { rpmLimit: 40n, modelRpmLimit: { "gpt-4o": 6n } } });
  const more = { ...guaranteed, limits: { modelRpmLimit: { "gpt-4o": 5n } } };
  await refused(make(more), Reason.INVALID_REQUEST, "model_rpm_limit");
  const first = both.find((result) => result.status === "fulfilled")?.value;
  const raise = {
    key: first?.key ?? "",
    settings: { limits: { rpmLimit: 61n } },
    updateMask: { paths: ["settings.limits.rpm_limit"] },
  };
  await refused(keys.updateKey(raise, master), Reason.INVALID_REQUEST, "rpm_limit");

  const plain = member("anna", "t");
  const boss = teamAdmin("boss", "t");
  const orgAdmin = as({ userId: "o", adminOrganizationIds: ["org"], roles: [Role.ORG_ADMIN] });
  await refused(make({}, plain), Reason.PERMISSION_DENIED, "key");
  await refused(generate(keys, { teamId: "another-team" }, boss), Reason.PERMISSION_DENIED, "key");
  await refused(generate(keys, { teamId: "no-such-team" }, boss), Reason.PERMISSION_DENIED, "key");
  await refused(
    generate(keys, { teamId: "no-such-team", organizationId: "org" }, orgAdmin),
    Reason.PERMISSION_DENIED,
    "key",
  );
  const ofTeam = await make({}, boss);
  assert.deepEqual([ofTeam.settings?.userId, ofTeam.settings?.teamId], [undefined, "t"]);
  assert.equal((await make({}, orgAdmin)).settings?.organizationId, "org");
  assert.equal((await keys.getKeyInfo({ key: ofTeam.key }, plain)).key, ofTeam.key);
  const update = { key: ofTeam.key, settings: { tags: ["x"] }, updateMask: { paths: ["settings.tags"] } };
  await refused(keys.updateKey(update, plain), Reason.PERMISSION_DENIED, "key");
  const paths = ["/key/generate", "/key/update", "/key/block", "/key/{key_id}/regenerate", "/key/delete"];
  await storeTeam(database, "t", { ...team, teamMemberPermissions: paths });
  await keys.updateKey(update, plain);
  await keys.blockKey({ key: ofTeam.key }, plain);
  await refused(keys.unblockKey({ key: ofTeam.key }, plain), Reason.PERMISSION_DENIED, "key");
  await refused(keys.getKeyInfo({ key: ofTeam.key }, member("x", "another")), Reason.PERMISSION_DENIED, "key");
  const ofMember = await make({}, plain);
  assert.deepEqual([ofMember.settings?.userId, ofMember.expires !== undefined], ["anna", true]);
  await refused(make({ userId: "bert" }, plain), Reason.PERMISSION_DENIED, "key");
  await refused(make({ duration: "8d" }, plain), Reason.INVALID_REQUEST, "duration");
  await refused(make({ duration: "-1" }, plain), Reason.INVALID_REQUEST, "duration");
  await keys.regenerateKey({ key: ofTeam.key }, plain);
  await keys.deleteKeys({ keys: [ofMember.key] }, plain);
  const account = { settings: { teamId: "t", userId: "anna" } };
  await refused(keys.generateServiceAccountKey({ account }, plain), Reason.PERMISSION_DENIED, "key");
  const made = await keys.generateServiceAccountKey({ account }, boss);
  assert.deepEqual([made.account?.stored?.settings?.teamId, made.account?.stored?.settings?.userId], ["t", undefined]);
  await refused(keys.generateServiceAccountKey({}, master), Reason.INVALID_REQUEST, "team_id");
  await close();
});

const policyFile = `
litellm_settings:
  default_key_generate_params: {max_budget: 1.5, models: [gpt-4o], metadata: {a: 1}, duration: 7d, guardrails: [x]}
  upperbound_key_generate_params: {max_budget: 100, duration: 30d, rpm_limit: 10, budget_duration: 7d, models: [a]}
  key_generation_settings:
    team_key_generation: {allowed_team_member_roles: [admin], required_params: [tags]}
    personal_key_generation: {allowed_user_roles: [proxy_admin]}
  enable_key_alias_format_validation: true
general_settings: {default_team_disabled: false}
`;

test("the configuration file gives new keys defaults and bounds, and says who makes them", async () => {
  const { policy, warnings } = readKeyPolicy(parseYaml(policyFile, "config.yaml", {}));
  assert.deepEqual(warnings, [
    "litellm_settings.default_key_generate_params.guardrails is not built yet and has no effect",
    "litellm_settings.upperbound_key_generate_params.models is not built yet and has no effect",
  ]);
  const { keys, database, close } = await setUp(url, true, true, readEnv({}, { keyPolicy: policy }));
  for (let twice = 0; twice < 2; twice += 1) {
    const made = await generate(keys, {}, master);
    const { settings } = made;
    assert.deepEqual(
      [settings?.models, settings?.limits?.maxBudget, settings?.limits?.rpmLimit],
      [["gpt-4o"], 1_500_000_000n, 10n],
    );
    assert.deepEqual(
      [Buffer.from(settings?.metadata ?? []).toString(), settings?.limits?.budgetDuration],
      ['{"a":1}', "7d"],
    );
    assert.ok(made.expires);
  }
  const badRequests: [FlatKey, string][] = [
    [{ limits: { maxBudget: 101_000_000_000n } }, "max_budget"],
    [{ limits: { rpmLimit: 11n } }, "rpm_limit"],
    [{ limits: { budgetDuration: "8d" } }, "budget_duration"],
    [{ duration: "31d" }, "duration"],
    [{ duration: "-1" }, "duration"],
    [{ keyAlias: "no spaces" }, "key_alias"],
  ];
  for (const [flat, param] of badRequests) await refused(generate(keys, flat, master), Reason.INVALID_REQUEST, param);
  const own = await generate(keys, { models: ["o3"], limits: { maxBudget: 0n }, keyAlias: "a/b.c@d" }, master);
  assert.deepEqual([own.settings?.models, own.settings?.limits?.maxBudget], [["o3"], 0n]);
  const clear = { key: own.key, updateMask: { paths: ["settings.limits.max_budget"] } };
  await refused(keys.updateKey(clear, master), Reason.INVALID_REQUEST, "max_budget");
  await refused(keys.updateKey({ key: own.key, duration: "-1" }, master), Reason.INVALID_REQUEST, "duration");

  await storeTeam(database, "rules", { teamMemberPermissions: ["/key/generate"] });
  await refused(generate(keys, {}, user("anna")), Reason.PERMISSION_DENIED, "team_id");
  const ofTeam = (flat: FlatKey, options: CallOptions) => generate(keys, { teamId: "rules", ...flat }, options);
  await refused(ofTeam({ tags: ["x"] }, member("anna", "rules")), Reason.PERMISSION_DENIED, "team_id");
  await refused(ofTeam({}, teamAdmin("boss", "rules")), Reason.INVALID_REQUEST, "tags");
  await ofTeam({ tags: ["x"] }, teamAdmin("boss", "rules"));
  await ofTeam({}, master);
  await close();

  const teams = await setUp(url, true, true, readEnv({}, { keyPolicy: { ...policy, teamRequired: true } }));
  await refused(generate(teams.keys, {}, master), Reason.INVALID_REQUEST, "team_id");
  await teams.close();
});

test("a wrong setting for keys stops the start", () => {
  const files: [string, RegExp][] = [
    ["litellm_settings: {default_key_generate_params: {max_budget: lots}}", /max_?[bB]udget/],
    ["litellm_settings: {default_key_generate_params: {models: gpt}}", /models/],
    ["litellm_settings: {upperbound_key_generate_params: {duration: soon}}", /duration/],
    ["litellm_settings: {upperbound_key_generate_params: {rpm_limit: -1}}", /rpm_limit/],
    ["litellm_settings: {key_generation_settings: {team_key_generation: 5}}", /team_key_generation/],
    ["general_settings: {default_team_disabled: sometimes}", /default_team_disabled/],
  ];
  for (const [file, said] of files) {
    assert.throws(
      () => readKeyPolicy(parseYaml(file, "config.yaml", {})),
      (error: unknown) => error instanceof ConfigurationError && said.test(error.message),
      file,
    );
  }
  assert.throws(() => readEnv({ LITELLM_KEY_ROTATION_GRACE_PERIOD: "soon" }), ConfigurationError);
});

test("nothing that is asked reaches SQL, and no list is without end", async () => {
  const { keys, database, close } = await setUp(url);
  const victim = await generate(keys, { keyAlias: "victim" }, master);
  const evil = "x'); drop table auth.virtual_key; --";
  assert.equal((await generate(keys, { keyAlias: evil }, master)).settings?.keyAlias, evil);
  for (const request of [
    { keyAlias: evil, substringMatching: true },
    { userId: "' or 1=1 --", includeTeamKeys: true, includeCreatedByKeys: true },
    { teamId: "$1" },
    { accessGroupId: "\"]}' or true --" },
    { keyHash: "? ?? :a" },
    { status: "deleted", projectId: "\\' or true --" },
  ]) {
    const { totalCount } = await keys.listKeys(request, master);
    assert.equal(totalCount, request.keyAlias === undefined ? 0 : 1, JSON.stringify(request));
  }
  const aliases = await keys.listKeyAliases({ search: "%" }, master);
  assert.equal(aliases.totalCount, 0);
  const badRequests: [object, string][] = [
    [{ sortBy: "spend; select 1" }, "sort_by"],
    [{ sortBy: "__proto__" }, "sort_by"],
    [{ sortOrder: "asc, (select 1)" }, "sort_order"],
    [{ status: "all" }, "status"],
    [{ expand: ["team"] }, "expand"],
    [{ size: 101 }, "size"],
    [{ size: 0 }, "size"],
    [{ page: 0 }, "page"],
    [{ page: 4_000_000_000 }, "page"],
    [{ keyAlias: "a\0b" }, "key_alias"],
    [{ userId: "x".repeat(257) }, "user_id"],
    [{ expand: Array.from({ length: 10_000 }, () => "user") }, "expand"],
  ];
  for (const [request, param] of badRequests) {
    await refused(keys.listKeys(request, master), Reason.INVALID_REQUEST, param);
  }
  const many = Array.from({ length: 10_000 }, (_, n) => `sk-number-${n}-of-many`);
  await refused(keys.deleteKeys({ keys: many }, master), Reason.INVALID_REQUEST, "keys");
  await refused(keys.getKeyInfos({ keys: many }, master), Reason.INVALID_REQUEST, "keys");
  await refused(keys.bulkUpdateKeys({ keys: many.map((key) => ({ key })) }, master), Reason.INVALID_REQUEST, "keys");
  // Written in two ways, an alias that looks the same is the same.
  await generate(keys, { keyAlias: "caf\u00e9" }, master);
  await refused(generate(keys, { keyAlias: "cafe\u0301" }, master), Reason.CONFLICT, "key_alias");
  assert.equal((await keys.listKeys({ keyAlias: "cafe\u0301" }, master)).totalCount, 1);
  assert.deepEqual((await keys.deleteKeys({ keyAliases: ["cafe\u0301"] }, master)).deletedKeys, ["cafe\u0301"]);
  assert.equal(await database.em().count(VirtualKey, { keyId: victim.token }), 1);
  await close();
});
