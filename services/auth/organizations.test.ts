import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { AccessGroupService } from "#gen/sluice/auth/v1/access_group_service_pb.ts";
import { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import { ProjectService } from "#gen/sluice/auth/v1/project_service_pb.ts";
import { TeamService } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { OrganizationMember, Team, VirtualKey } from "./db/entities.ts";
import { as, generate, master, refused, setUp } from "./testing/auth-fixture.ts";
import { storeTeam } from "./testing/stored-rows.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

const person = (userId: string, teamIds: string[] = []) => as({ userId, teamIds, roles: [Role.INTERNAL_USER] });
const teamAdmin = (...ids: string[]) => as({ userId: "lead", adminTeamIds: ids, roles: [Role.TEAM_ADMIN] });
const orgAdmin = (...ids: string[]) => as({ userId: "boss", adminOrganizationIds: ids, roles: [Role.ORG_ADMIN] });

for (const { name, url } of databases.all) {
  test(`an organization is made, changed, listed and deleted with all it has (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, database, announced, announcedScopes, spent } = setup;
    const organizations = setup.client(OrganizationService);
    const settings = { organizationAlias: "Acme 100%", models: ["gpt-4o"], limits: { maxBudget: 9n } };
    const made = await organizations.createOrganization({ organizationId: "o", settings }, master);
    assert.deepEqual(
      [made.organization?.settings?.organizationAlias, made.organization?.litellmBudgetTable?.limits?.maxBudget],
      ["Acme 100%", 9n],
    );
    await refused(
      organizations.createOrganization({ organizationId: "o", settings }, master),
      Reason.CONFLICT,
      "organization_id",
    );
    await refused(organizations.createOrganization({}, master), Reason.INVALID_REQUEST, "organization_alias");
    await refused(organizations.createOrganization({ settings }, orgAdmin("o")), Reason.PERMISSION_DENIED, "");

    const added = await organizations.addOrganizationMembers(
      {
        organizationId: "o",
        member: [{ userId: "boss", role: "org_admin" }, { userEmail: "new@example.org" }],
        maxBudgetInOrganization: 4n,
      },
      orgAdmin("o"),
    );
    assert.deepEqual(
      added.updatedOrganizationMemberships.map((each) => [
        each.userEmail,
        each.userRole,
        each.litellmBudgetTable?.limits?.maxBudget,
      ]),
      [
        [undefined, "org_admin", 4n],
        ["new@example.org", "internal_user", 4n],
      ],
    );
    await refused(
      organizations.addOrganizationMembers({ organizationId: "o", member: [{ userId: "boss" }] }, master),
      Reason.CONFLICT,
      "member",
    );

    await setup.client(TeamService).createTeam({ teamId: "ot", settings: { organizationId: "o" } }, orgAdmin("o"));
    const key = await generate(setup.keys, { teamId: "ot", userId: "boss" }, master);
    const direct = await generate(setup.keys, { organizationId: "o" }, master);
    spent.set("organization:o", 5n).set("organization_member:o:boss", 3n);
    const { organization } = await organizations.getOrganization({ organizationId: "o" }, person("boss"));
    const bossOf = organization?.members.find(({ userId }) => userId === "boss");
    assert.deepEqual(
      [organization?.spend, organization?.teams.map(({ teamId }) => teamId), bossOf?.spend],
      [5n, ["ot"], 3n],
    );
    const { principal } = await auth.authenticate({ keyHash: key.token });
    assert.deepEqual(principal?.adminOrganizationIds, ["o"]);
    assert.equal(principal?.scopes.find(({ scope }) => scope === "organization_member:o:boss")?.maxBudgetNanoUsd, 4n);

    const member = { organizationId: "o", userId: "boss" };
    const changed = await organizations.updateOrganizationMember(
      { ...member, role: "internal_user", maxBudgetInOrganization: 6n },
      master,
    );
    assert.deepEqual(
      [changed.membership?.userRole, changed.membership?.litellmBudgetTable?.limits?.maxBudget],
      ["internal_user", 6n],
    );
    const gone = { organizationId: "o", userEmail: "NEW@example.org" };
    assert.equal((await organizations.deleteOrganizationMember(gone, master)).membership?.userEmail, "new@example.org");
    await refused(organizations.deleteOrganizationMember(gone, master), Reason.NOT_FOUND, "user_email");

    announced.length = 0;
    const deleted = await organizations.deleteOrganizations({ organizationIds: ["o"] }, master);
    assert.equal(deleted.organizations[0]?.teams[0]?.teamId, "ot");
    assert.deepEqual(announced.toSorted(), [direct.token, key.token].toSorted());
    assert.ok(["organization:o", "team:ot", "user:boss"].every((scope) => announcedScopes.includes(scope)));
    const em = database.em();
    const left = [em.count(Team, { teamId: "ot" }), em.count(VirtualKey), em.count(OrganizationMember)];
    assert.deepEqual(await Promise.all(left), [0, 0, 0]);
    await refused(
      organizations.deleteOrganizations({ organizationIds: ["o"] }, master),
      Reason.NOT_FOUND,
      "organization_ids",
    );
    await setup.close();
  });

  test(`a project is made in a team, changed, listed and deleted once it has no keys (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, spent } = setup;
    const projects = setup.client(ProjectService);
    const team = { models: ["gpt-4o", "gpt-5"], limits: { maxBudget: 9n } };
    await setup.client(TeamService).createTeam({ teamId: "pt", settings: team }, master);
    const make = (settings: object, caller = teamAdmin("pt")) =>
      projects.createProject({ projectId: "p", settings: { teamId: "pt", ...settings } }, caller);
    await refused(make({ teamId: "" }), Reason.INVALID_REQUEST, "team_id");
    await refused(make({ teamId: "none" }, master), Reason.INVALID_REQUEST, "team_id");
    await refused(make({ teamId: "none" }), Reason.PERMISSION_DENIED, "team_id");
    await refused(make({}, teamAdmin("else")), Reason.PERMISSION_DENIED, "team_id");
    await refused(make({ models: ["claude-opus"] }), Reason.INVALID_REQUEST, "models");
    await refused(make({ limits: { maxBudget: 10n } }), Reason.INVALID_REQUEST, "max_budget");
    const made = await make({ projectAlias: "P", models: ["gpt-4o"], limits: { maxBudget: 4n }, tags: ["x"] });
    assert.deepEqual([made.project?.settings?.projectAlias, made.project?.settings?.blocked], ["P", false]);
    await refused(make({}), Reason.CONFLICT, "project_id");

    const key = await generate(setup.keys, { teamId: "pt", projectId: "p" }, master);
    const update = {
      projectId: "p",
      version: 1,
      settings: { blocked: true },
      updateMask: { paths: ["settings.blocked", "settings.limits.max_budget"] },
    };
    const { project } = await projects.updateProject(update, teamAdmin("pt"));
    assert.deepEqual([project?.settings?.limits?.maxBudget, project?.settings?.tags], [undefined, ["x"]]);
    await refused(projects.updateProject(update, master), Reason.CONFLICT, "version");
    assert.equal((await auth.authenticate({ keyHash: key.token })).principal?.blocked, true);
    spent.set("project:p", 2n);
    assert.equal((await projects.getProject({ projectId: "p" }, person("in", ["pt"]))).project?.spend, 2n);
    for (const projectId of ["p", "none"]) {
      await refused(projects.getProject({ projectId }, person("out")), Reason.PERMISSION_DENIED, "project_id");
      await refused(
        projects.deleteProjects({ projectIds: [projectId] }, teamAdmin("x")),
        Reason.PERMISSION_DENIED,
        "project_ids",
      );
    }
    assert.equal((await projects.listProjects({}, person("in", ["pt"]))).projects.length, 1);
    assert.equal((await projects.listProjects({}, person("out"))).projects.length, 0);
    await refused(projects.deleteProjects({ projectIds: ["p"] }, master), Reason.INVALID_REQUEST, "project_ids");
    await setup.keys.deleteKeys({ keys: [key.token] }, master);
    assert.equal((await projects.deleteProjects({ projectIds: ["p"] }, master)).projects[0]?.projectId, "p");
    await refused(projects.deleteProjects({ projectIds: ["p"] }, master), Reason.NOT_FOUND, "project_ids");
    await setup.close();
  });

  test(`an access group gives models to whom it is assigned (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, announced, announcedScopes } = setup;
    const groups = setup.client(AccessGroupService);
    const teams = setup.client(TeamService);
    await teams.createTeam({ teamId: "gt", settings: { models: ["gpt-4o"] } }, master);
    const key = await generate(setup.keys, { models: ["gpt-4o"], teamId: "gt" }, master);
    const named = await generate(setup.keys, { models: ["frontier"] }, master);
    const make = (settings: object) =>
      groups.createAccessGroup({ settings: { accessGroupName: "frontier", ...settings } }, master);
    await refused(make({ accessGroupName: "" }), Reason.INVALID_REQUEST, "access_group_name");
    await refused(make({ assignedTeamIds: ["none"] }), Reason.INVALID_REQUEST, "assigned_team_ids");
    await refused(make({ assignedKeyIds: ["sk-none"] }), Reason.INVALID_REQUEST, "assigned_key_ids");
    const { group } = await make({
      accessModelNames: ["claude-opus"],
      assignedTeamIds: ["gt"],
      assignedKeyIds: [key.key],
    });
    const accessGroupId = group?.accessGroupId ?? "";
    assert.deepEqual([group?.settings?.assignedTeamIds, group?.settings?.assignedKeyIds], [["gt"], [key.token]]);
    assert.deepEqual(new Set(announced.slice(-2)), new Set([key.token, named.token]));
    assert.ok(announcedScopes.includes("team:gt"));
    await refused(make({}), Reason.CONFLICT, "access_group_name");
    const { team } = await teams.blockTeam({ teamId: "gt" }, master);
    assert.deepEqual(team?.settings?.accessGroupIds, [accessGroupId]);
    const rights = async () => {
      const { principal } = await auth.authenticate({ keyHash: key.token });
      return [principal?.models, principal?.rights[0]?.models];
    };
    assert.deepEqual(await rights(), [
      ["gpt-4o", "claude-opus"],
      ["gpt-4o", "claude-opus"],
    ]);
    assert.deepEqual((await auth.authenticate({ keyHash: named.token })).principal?.models, ["claude-opus"]);

    announced.length = 0;
    const updated = await groups.updateAccessGroup(
      {
        accessGroupId,
        settings: { accessModelNames: ["gpt-5"] },
        updateMask: { paths: ["settings.access_model_names", "settings.assigned_team_ids"] },
      },
      master,
    );
    assert.deepEqual(
      [updated.group?.settings?.assignedTeamIds, updated.group?.settings?.assignedKeyIds],
      [[], [key.token]],
    );
    assert.ok(announced.includes(named.token) && announced.includes(key.token));
    assert.deepEqual(await rights(), [["gpt-4o", "gpt-5"], ["gpt-4o"]]);
    assert.deepEqual((await groups.listAccessGroups({}, master)).groups.length, 1);

    assert.equal((await groups.deleteAccessGroup({ accessGroupId }, master)).group?.settings?.assignedKeyIds.length, 1);
    assert.deepEqual(await rights(), [["gpt-4o"], ["gpt-4o"]]);
    await refused(groups.getAccessGroup({ accessGroupId }, master), Reason.NOT_FOUND, "access_group_id");
    await setup.close();
  });
}

const [anyDatabase] = databases.all;
assert.ok(anyDatabase);

test("an organization is seen by its members and changed a little by its admins", async () => {
  const setup = await setUp(anyDatabase.url);
  const organizations = setup.client(OrganizationService);
  await storeTeam(setup.database, "free");
  for (const organizationId of ["a", "b"]) {
    const settings = { organizationAlias: `Org_${organizationId}` };
    await organizations.createOrganization({ organizationId, settings }, master);
  }
  await organizations.addOrganizationMembers({ organizationId: "a", member: [{ userId: "m" }] }, master);
  const change = (organizationId: string, path: string) => ({
    organizationId,
    settings: { organizationAlias: "Renamed_", models: ["x"], limits: { maxBudget: 1n } },
    updateMask: { paths: [`settings.${path}`] },
  });
  const { organization } = await organizations.updateOrganization(change("a", "organization_alias"), orgAdmin("a"));
  assert.equal(organization?.settings?.organizationAlias, "Renamed_");
  for (const [path, param] of [
    ["limits.max_budget", "max_budget"],
    ["models", "models"],
  ] as const) {
    await refused(organizations.updateOrganization(change("a", path), orgAdmin("a")), Reason.PERMISSION_DENIED, param);
  }
  for (const organizationId of ["b", "none"]) {
    const work = organizations.updateOrganization(change(organizationId, "organization_alias"), orgAdmin("a"));
    await refused(work, Reason.PERMISSION_DENIED, "organization_id");
    await refused(
      organizations.getOrganization({ organizationId }, person("m")),
      Reason.PERMISSION_DENIED,
      "organization_id",
    );
    const join = { organizationId, member: [{ userId: "x" }] };
    await refused(
      organizations.addOrganizationMembers(join, orgAdmin("a")),
      Reason.PERMISSION_DENIED,
      "organization_id",
    );
  }
  await refused(organizations.getOrganization({ organizationId: "none" }, master), Reason.NOT_FOUND, "organization_id");
  const ids = async (request: object, caller = master) =>
    (await organizations.listOrganizations(request, caller)).organizations.map(({ organizationId }) => organizationId);
  assert.deepEqual(await ids({}), ["b", "a"]);
  assert.deepEqual(await ids({ orgAlias: "d_" }), ["a"]);
  assert.deepEqual(await ids({ orgId: "b" }), ["b"]);
  assert.deepEqual(await ids({}, person("m")), ["a"]);
  assert.deepEqual(await ids({}, person("stranger")), []);
  await setup.close();
});
