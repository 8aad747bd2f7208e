import assert from "node:assert/strict";
import { after, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import { CustomerSettingsSchema } from "#gen/sluice/auth/v1/customer_pb.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import { ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import { TeamMemberSettingsSchema, TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import {
  AccessGroup,
  Budget,
  Customer,
  Organization,
  OrganizationMember,
  Project,
  RetiredKey,
  Team,
  TeamMember,
  User,
} from "./db/entities.ts";
import { writeDoc } from "./stored-doc.ts";
import { generate, master, now, type Setup, setUp } from "./testing/auth-fixture.ts";
import { storedColumns } from "./testing/stored-rows.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
const [anyDatabase] = databases.all;
assert.ok(anyDatabase);

/** An organization `o` with the team `t`, whose admin is `u`, and the project `p`. */
async function seed({ database }: Setup): Promise<void> {
  const em = database.em();
  const limits = { budgetId: "gold", rpmLimit: 7n };
  em.persist([
    em.create(Budget, {
      budgetId: "gold",
      ...storedColumns(LimitsSchema, { maxBudget: 50n, rpmLimit: 1n, tpmLimit: 9n }),
    }),
    em.create(Organization, {
      organizationId: "o",
      organizationAlias: "O",
      ...storedColumns(OrganizationSettingsSchema, { models: ["gpt-*", "claude-*"], limits }),
    }),
    em.create(Team, {
      teamId: "t",
      organizationId: "o",
      ...storedColumns(TeamSettingsSchema, {
        models: ["frontier"],
        modelAliases: { fast: "gpt-4o-mini", own: "theirs" },
        tags: ["of the team"],
        teamMemberBudget: 3n,
        teamMemberRpmLimit: 4n,
      }),
    }),
    em.create(AccessGroup, {
      accessGroupId: "g",
      accessGroupName: "frontier",
      ...storedColumns(AccessGroupSettingsSchema, { accessModelNames: ["gpt-4o", "claude-opus"] }),
    }),
    em.create(User, {
      userId: "u",
      userRole: "internal_user",
      ...storedColumns(UserSettingsSchema, { models: ["only-personal"], limits: { maxBudget: 80n } }),
    }),
    em.create(TeamMember, {
      teamId: "t",
      userId: "u",
      role: "admin",
      ...storedColumns(TeamMemberSettingsSchema, { limits: { maxBudget: 2n }, allowedModels: ["gpt-4o"] }),
    }),
    em.create(OrganizationMember, {
      organizationId: "o",
      userId: "u",
      role: "org_admin",
      ...storedColumns(LimitsSchema, {}),
    }),
    em.create(Project, {
      projectId: "p",
      teamId: "t",
      ...storedColumns(ProjectSettingsSchema, { tags: ["of the project"] }),
    }),
    em.create(Customer, {
      customerId: "c",
      ...storedColumns(CustomerSettingsSchema, { blocked: true, limits: { budgetId: "gold" } }),
    }),
  ]);
  await em.flush();
}

test("everybody above a key has a say in its models, its limits and its roles", async () => {
  const setup = await setUp(anyDatabase.url);
  await seed(setup);
  const { auth, keys, database } = setup;
  const made = await generate(
    keys,
    {
      userId: "u",
      teamId: "t",
      projectId: "p",
      models: ["all-team-models"],
      aliases: { own: "mine" },
      limits: {
        maxBudget: 10n,
        budgetLimits: [{ budgetDuration: "1h", maxBudget: 1n }],
        modelRpmLimit: { "gpt-4o": 5n },
        modelMaxBudget: { "gpt-4o": { budgetLimit: 6n, timePeriod: "1d" } },
      },
      tempBudgetIncrease: 5n,
      tempBudgetExpiry: { seconds: BigInt(now / 1000 + 60), nanos: 0 },
    },
    master,
  );
  const { principal } = await auth.authenticate({ keyHash: made.token });
  assert.ok(principal);
  assert.deepEqual([principal.models, principal.organizationId, principal.projectId], [[], "o", "p"]);
  assert.deepEqual(
    principal.rights.map(({ level, models }) => [level, models.join()]),
    [
      ["team", "gpt-4o,claude-opus"],
      ["member", "gpt-4o"],
      ["organization", "gpt-*,claude-*"],
    ],
  );
  assert.deepEqual({ ...principal.aliases }, { fast: "gpt-4o-mini", own: "mine" });
  assert.deepEqual(principal.tags, ["of the team", "of the project"]);
  assert.deepEqual(principal.roles, [Role.KEY, Role.INTERNAL_USER, Role.TEAM_ADMIN, Role.ORG_ADMIN]);
  assert.deepEqual([principal.adminTeamIds, principal.adminOrganizationIds], [["t"], ["o"]]);
  const key = `key:${made.token}`;
  assert.deepEqual(
    principal.scopes.map(({ scope, maxBudgetNanoUsd, rpmLimit, tpmLimit, budgetDuration, model }) =>
      [scope, maxBudgetNanoUsd, rpmLimit, tpmLimit, budgetDuration, model]
        .map((value) => String(value ?? ""))
        .join(" "),
    ),
    [
      `${key} 15    `,
      `${key}|window:1h 1   1h `,
      `${key}|model:gpt-4o 6 5  1d gpt-4o`,
      "user:u 80    ",
      "team:t     ",
      "member:t:u 2 4   ",
      "project:p     ",
      "organization:o 50 7 9  ",
    ],
  );

  const personal = await generate(keys, { userId: "u", accessGroupIds: ["g"] }, master);
  const { principal: own } = await auth.authenticate({ keyHash: personal.token });
  assert.deepEqual(own?.models, ["gpt-4o", "claude-opus"]);
  assert.deepEqual(
    own?.rights.map(({ level, models }) => [level, models.join()]),
    [["user", "only-personal"]],
  );

  await database
    .em()
    .nativeUpdate(
      Team,
      { teamId: "t" },
      { doc: writeDoc(TeamSettingsSchema, create(TeamSettingsSchema, { blocked: true })) },
    );
  assert.equal((await auth.authenticate({ keyHash: made.token })).principal?.blocked, true);
  assert.equal((await auth.authenticate({ keyHash: personal.token })).principal?.blocked, false);
  await setup.close();
});

test("the old hash of a replaced key works until its grace period ends", async () => {
  const { auth, keys, database, close } = await setUp(anyDatabase.url);
  const made = await generate(keys, { duration: "30d" }, master);
  const retiredKeyId = "b".repeat(64);
  const expiresAt = new Date(now + 60_000);
  await database.em().insert(RetiredKey, { retiredKeyId, keyId: made.token, expiresAt });
  const { principal } = await auth.authenticate({ keyHash: retiredKeyId });
  assert.deepEqual([principal?.keyId, Number(principal?.expiresAt?.seconds) * 1000], [made.token, expiresAt.getTime()]);
  await close();
});

test("a customer and a tag that nobody has described hold for nothing", async () => {
  const { auth, close } = await setUp(anyDatabase.url);
  const known = await auth.describeScope({ scope: "customer:c" });
  assert.deepEqual(
    [known.blocked, known.scopes[0]?.scope, known.scopes[0]?.maxBudgetNanoUsd],
    [true, "customer:c", 50n],
  );
  for (const scope of ["customer:nobody", "tag:nothing", "customer:a\0b", "tag:\ud800"]) {
    const { scopes, models, blocked } = await auth.describeScope({ scope });
    assert.deepEqual([scopes, models, blocked], [[], [], false]);
  }
  await assert.rejects(auth.describeScope({ scope: "key:a" }), /must name a customer or a tag/);
  await close();
});
