import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ConfigurationError } from "#chassis/environment.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { BudgetService } from "#gen/sluice/auth/v1/budget_service_pb.ts";
import { CustomerService } from "#gen/sluice/auth/v1/customer_service_pb.ts";
import { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { readEnv } from "./config.ts";
import { readTenancyRules } from "./tenancy-rules.ts";
import { as, generate, master, masterKeyHash, refused, setUp } from "./testing/auth-fixture.ts";
import { storeTeam } from "./testing/stored-rows.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
const [anyDatabase] = databases.all;
assert.ok(anyDatabase);
const { url } = anyDatabase;

function rulesOf(yaml: string) {
  return readTenancyRules(parseYaml(yaml, "config.yaml", {}));
}

function setUpWith(yaml: string) {
  return setUp(url, true, true, readEnv({}, { tenancyRules: rulesOf(yaml).rules }));
}

test("what the configuration file says about everybody", () => {
  assert.deepEqual(rulesOf("{}"), {
    rules: { gateway: undefined, customer: undefined, availableTeams: [] },
    warnings: [],
  });
  assert.equal(rulesOf("litellm_settings: {max_budget: 0}").rules.gateway, undefined);
  const { rules, warnings } = rulesOf(`
litellm_settings:
  max_budget: 12.5
  budget_duration: 30d
  max_end_user_budget: 0
  max_end_user_budget_id: usual
  default_internal_user_params: {available_teams: [a, b, a], max_budget: 3, tpm_limit: 3}
`);
  assert.deepEqual([rules.gateway?.maxBudget, rules.gateway?.budgetDuration], [12_500_000_000n, "30d"]);
  assert.deepEqual([rules.customer?.maxBudget, rules.customer?.budgetId], [0n, "usual"]);
  assert.deepEqual(rules.availableTeams, ["a", "b"]);
  assert.deepEqual(warnings, [
    "litellm_settings.default_internal_user_params.max_budget holds for people who log in, and nobody else yet",
    "litellm_settings.default_internal_user_params.tpm_limit is not built yet and has no effect",
  ]);
  assert.equal(rulesOf("litellm_settings: {budget_duration: 1d}").warnings.length, 1);
  const wrong: [string, RegExp][] = [
    ["{max_budget: -1}", /max_budget/],
    ["{max_budget: lots}", /max_budget/],
    ["{max_budget: 1, budget_duration: soon}", /budget_duration/],
    ["{max_budget: 1, budget_duration: 2mo}", /budget_duration/],
    ["{max_end_user_budget: .inf}", /max_end_user_budget/],
    ["{max_end_user_budget_id: 5}", /max_end_user_budget_id/],
    ["{default_internal_user_params: {available_teams: a}}", /available_teams/],
  ];
  for (const [settings, said] of wrong) {
    assert.throws(
      () => rulesOf(`litellm_settings: ${settings}`),
      (error: unknown) => error instanceof ConfigurationError && said.test(error.message),
      settings,
    );
  }
});

test("a budget of the whole gateway is a scope of every key's, the master key's too", async () => {
  const { auth, keys, close } = await setUpWith("litellm_settings: {max_budget: 10, budget_duration: 1mo}");
  const { token } = await generate(keys, {}, master);
  for (const keyHash of [token, masterKeyHash]) {
    const { principal } = await auth.authenticate({ keyHash });
    const scope = principal?.scopes.find(({ scope }) => scope === "gateway:all");
    assert.deepEqual([scope?.maxBudgetNanoUsd, scope?.budgetDuration], [10_000_000_000n, "1mo"], keyHash);
  }
  await close();
});

test("a customer without limits has the usual ones, known or not", async () => {
  const setup = await setUpWith("litellm_settings: {max_end_user_budget: 2, max_end_user_budget_id: usual customer}");
  const { auth } = setup;
  const customers = setup.client(CustomerService);
  const describe = async (scope: string) => {
    const [own] = (await auth.describeScope({ scope })).scopes;
    return [own?.maxBudgetNanoUsd, own?.rpmLimit];
  };
  assert.deepEqual(await describe("customer:nobody has described it"), [2_000_000_000n, undefined]);
  await setup.client(BudgetService).createBudget({ budgetId: "usual customer", limits: { rpmLimit: 7n } }, master);
  assert.deepEqual(await describe("customer:nobody has described it"), [2_000_000_000n, 7]);
  await customers.createCustomer({ userId: "described", settings: { alias: "D" } }, master);
  assert.deepEqual(await describe("customer:described"), [2_000_000_000n, 7]);
  await customers.createCustomer({ userId: "limited", settings: { limits: { rpmLimit: 9n } } }, master);
  assert.deepEqual(await describe("customer:limited"), [undefined, 9]);
  assert.deepEqual((await auth.describeScope({ scope: "tag:unknown" })).scopes, []);
  await setup.close();

  const plain = await setUp(url);
  assert.deepEqual((await plain.auth.describeScope({ scope: "customer:nobody has described it" })).scopes, []);
  await plain.close();
});

test("an internal user sees the teams that are open to all, and joins them itself and with nothing of its own", async () => {
  const setup = await setUpWith("litellm_settings: {default_internal_user_params: {available_teams: [open, gone]}}");
  await storeTeam(setup.database, "open", { teamAlias: "Open", models: ["gpt-4o"], teamMemberBudget: 5n });
  await storeTeam(setup.database, "closed");
  const teams = setup.client(TeamService);
  const anna = as({ userId: "anna", roles: [Role.INTERNAL_USER] });
  const { teams: available } = await teams.listAvailableTeams({}, anna);
  assert.deepEqual(
    available.map(({ teamId, settings }) => [
      teamId,
      settings?.teamAlias,
      settings?.models,
      settings?.teamMemberBudget,
    ]),
    [["open", "Open", ["gpt-4o"], undefined]],
  );
  const join = (request: object) =>
    teams.addTeamMembers({ teamId: "open", member: [{ userId: "anna" }], ...request }, anna);
  const forbidden = [
    { teamId: "closed" },
    { member: [{ userId: "anna", role: "admin" }] },
    { member: [{ userId: "anna" }, { userId: "bert" }] },
    { member: [{ userEmail: "anna@example.org" }] },
    { maxBudgetInTeam: 1_000n },
    { allowedModels: ["*"] },
  ];
  for (const request of forbidden) await refused(join(request), Reason.PERMISSION_DENIED, "team_id");
  const { team } = await join({});
  assert.deepEqual(
    team?.membersWithRoles.map(({ userId, role }) => [userId, role]),
    [["anna", "user"]],
  );
  const member = as({ userId: "anna", teamIds: ["open"], roles: [Role.INTERNAL_USER] });
  assert.deepEqual((await teams.listAvailableTeams({}, member)).teams, []);
  await setup.close();
});
