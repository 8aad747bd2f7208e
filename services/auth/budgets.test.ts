import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { BudgetService } from "#gen/sluice/auth/v1/budget_service_pb.ts";
import { CustomerService } from "#gen/sluice/auth/v1/customer_service_pb.ts";
import { TagService } from "#gen/sluice/auth/v1/tag_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { as, generate, master, refused, setUp } from "./testing/auth-fixture.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

for (const { name, url } of databases.all) {
  test(`a budget holds for everybody who refers to it, and a change reaches them (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, keys, announced, announcedScopes } = setup;
    const budgets = setup.client(BudgetService);
    const customers = setup.client(CustomerService);
    const tags = setup.client(TagService);
    await budgets.createBudget({ budgetId: "b", limits: { maxBudget: 5n, rpmLimit: 2n, budgetId: "b" } }, master);
    const key = await generate(keys, { limits: { budgetId: "b", rpmLimit: 9n } }, master);
    const customer = await customers.createCustomer(
      { userId: "c", settings: { alias: "C", limits: { budgetId: "b" } } },
      master,
    );
    assert.equal(customer.customer?.litellmBudgetTable?.limits?.maxBudget, 5n);
    await tags.createTag({ name: "t", settings: { limits: { budgetId: "b" }, models: ["gpt-4o"] } }, master);
    const budgetOf = async (scope: string) => (await auth.describeScope({ scope })).scopes[0]?.maxBudgetNanoUsd;
    assert.deepEqual([await budgetOf("customer:c"), await budgetOf("tag:t")], [5n, 5n]);

    announced.length = 0;
    announcedScopes.length = 0;
    const updated = await budgets.updateBudget(
      { budgetId: "b", limits: { maxBudget: 8n }, updateMask: { paths: ["limits.max_budget"] } },
      master,
    );
    assert.deepEqual([updated.budget?.limits?.maxBudget, updated.budget?.limits?.rpmLimit], [8n, 2n]);
    assert.deepEqual([announced, announcedScopes.toSorted()], [[key.token], ["budget:b", "customer:c", "tag:t"]]);
    const { principal } = await auth.authenticate({ keyHash: key.token });
    assert.deepEqual([principal?.scopes[0]?.maxBudgetNanoUsd, principal?.scopes[0]?.rpmLimit], [8n, 9]);

    const settings = await budgets.getBudgetSettings({ budgetId: "b" }, master);
    const fields = JSON.parse(Buffer.from(settings.fields).toString());
    assert.deepEqual([fields[0].field_name, fields[0].field_value, fields[0].stored_in_db], ["max_budget", 8e-9, true]);
    assert.equal((await budgets.getBudgets({ budgets: ["b", "nobody"] }, master)).budgets.length, 1);
    assert.ok((await budgets.listBudgets({}, master)).budgets.some(({ budgetId }) => budgetId === "b"));
    await refused(budgets.createBudget({ budgetId: "b" }, master), Reason.CONFLICT, "budget_id");
    await refused(budgets.getBudgets({}, master), Reason.INVALID_REQUEST, "budgets");
    await refused(budgets.updateBudget({ budgetId: "nobody" }, master), Reason.NOT_FOUND, "budget_id");
    const stale = { budgetId: "b", version: 1, updateMask: { paths: ["limits.rpm_limit"] } };
    await refused(budgets.updateBudget(stale, master), Reason.CONFLICT, "version");

    await budgets.deleteBudget({ id: "b" }, master);
    await refused(budgets.deleteBudget({ id: "b" }, master), Reason.NOT_FOUND, "id");
    assert.equal(await budgetOf("customer:c"), undefined);
    await setup.close();
  });

  test(`customers are blocked before anybody described them, and tags are described (${name})`, async () => {
    const setup = await setUp(url);
    const { auth, announcedScopes, spent } = setup;
    const customers = setup.client(CustomerService);
    const tags = setup.client(TagService);
    const suffix = name.toLowerCase();
    const [x, y] = [`x-${suffix}`, `y-${suffix}`];
    await customers.createCustomer({ userId: x, settings: { alias: "X" } }, master);
    spent.set(`customer:${x}`, 4n);
    const { blockedUsers } = await customers.blockCustomers({ userIds: [x, y] }, master);
    assert.deepEqual(
      blockedUsers.map(({ settings }) => settings?.blocked),
      [true, true],
    );
    assert.equal((await auth.describeScope({ scope: `customer:${y}` })).blocked, true);
    assert.ok(announcedScopes.includes(`customer:${y}`));
    const { customer } = await customers.getCustomer({ endUserId: x }, master);
    assert.deepEqual([customer?.settings?.alias, customer?.settings?.blocked, customer?.spend], ["X", true, 4n]);
    await customers.unblockCustomers({ userIds: [x] }, master);
    assert.equal((await auth.describeScope({ scope: `customer:${x}` })).blocked, false);
    const paths = ["settings.alias"];
    const changed = await customers.updateCustomer({ userId: x, updateMask: { paths } }, master);
    assert.equal(changed.customer?.settings?.alias, undefined);
    assert.ok((await customers.listCustomers({}, master)).customers.length >= 2);
    await refused(customers.createCustomer({ userId: x }, master), Reason.CONFLICT, "user_id");
    await refused(customers.createCustomer({}, master), Reason.INVALID_REQUEST, "user_id");
    const orphan = { userId: "z", settings: { limits: { budgetId: "none" } } };
    await refused(customers.createCustomer(orphan, master), Reason.INVALID_REQUEST, "budget_id");
    await refused(customers.getCustomer({ endUserId: "nobody" }, master), Reason.NOT_FOUND, "end_user_id");
    await refused(customers.deleteCustomers({ userIds: [x, "nobody"] }, master), Reason.NOT_FOUND, "user_ids");
    assert.equal((await customers.deleteCustomers({ userIds: [x, y] }, master)).deletedCustomers, 2);

    const tag = `tag-${suffix}`;
    await tags.createTag({ name: tag, settings: { description: "d", models: ["a"] } }, master);
    await tags.updateTag(
      { name: tag, settings: { models: ["b"] }, updateMask: { paths: ["settings.models"] } },
      master,
    );
    const { tags: found } = await tags.getTags({ names: [tag, "nobody"] }, master);
    assert.deepEqual([found[tag]?.settings?.description, found[tag]?.settings?.models], ["d", ["b"]]);
    assert.deepEqual((await auth.describeScope({ scope: `tag:${tag}` })).models, ["b"]);
    await refused(tags.createTag({ name: tag }, master), Reason.CONFLICT, "name");
    assert.ok((await tags.listTags({}, master)).tags.some((each) => each.name === tag));
    await tags.deleteTag({ name: tag }, master);
    await refused(tags.deleteTag({ name: tag }, master), Reason.NOT_FOUND, "name");
    await refused(tags.createTag({ name: "n" }, as({ roles: [Role.INTERNAL_USER] })), Reason.PERMISSION_DENIED, "");
    await setup.close();
  });
}
