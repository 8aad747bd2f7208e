import assert from "node:assert/strict";
import { after, test } from "node:test";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { VirtualKey } from "./db/entities.ts";
import { hashKey } from "./secret-key.ts";
import {
  as,
  type FlatKey,
  generate,
  master,
  masterKeyHash,
  now,
  refused,
  setUp,
  until,
} from "./testing/auth-fixture.ts";
import { storeTeam } from "./testing/stored-rows.ts";

const virtual = (keyId: string) => as({ keyId });

const databases = await startTestDatabases();
after(() => databases.stop());

for (const { name, url } of databases.all) {
  test(`a generated key is stored by its hash and authenticates (${name})`, async () => {
    const { auth, keys, database, announced, close } = await setUp(url);
    await storeTeam(database, "t");
    const made = await generate(
      keys,
      {
        keyAlias: "ci",
        duration: "1mo",
        models: ["gpt-4o", "openai/*", "gpt-4o"],
        limits: {
          maxBudget: 1_500_000_000n,
          budgetDuration: "30d",
          rpmLimit: 10n,
          tpmLimit: 5_000_000_000n,
          maxParallelRequests: 3n,
        },
        metadata: Buffer.from('{"a":{"b":[1,"é\\\\u0000 is text"]}}'),
        userId: "u 1",
        teamId: "t",
      },
      master,
    );
    assert.match(made.key, /^sk-[A-Za-z0-9_-]{22}$/);
    assert.equal(made.token, hashKey(made.key));
    assert.equal(made.tokenId, made.token);
    assert.equal(made.keyName, `sk-...${made.key.slice(-4)}`);
    assert.equal(made.spend, 0n);
    assert.equal(made.createdBy, masterKeyHash);
    assert.ok(made.expires && made.createdAt);
    assert.equal(timestampDate(made.expires).toISOString(), "2026-02-28T12:00:00.000Z");
    assert.deepEqual(announced, [made.token]);

    const { principal } = await auth.authenticate({ keyHash: made.token });
    assert.ok(principal);
    assert.equal(principal.kind, CallerKind.VIRTUAL_KEY);
    assert.equal(principal.keyAlias, "ci");
    assert.deepEqual(principal.models, ["gpt-4o", "openai/*"]);
    assert.deepEqual(JSON.parse(Buffer.from(principal.metadata).toString()), { a: { b: [1, "é\\u0000 is text"] } });
    assert.deepEqual(
      principal.scopes.map(({ scope }) => scope),
      [`key:${made.token}`, "user:u 1", "team:t", "member:t:u%201"],
    );
    const [own] = principal.scopes;
    assert.ok(own?.budgetStart);
    assert.equal(timestampDate(own.budgetStart).getTime(), now);
    assert.deepEqual(
      [own.maxBudgetNanoUsd, own.budgetDuration, own.rpmLimit, own.tpmLimit, own.maxParallelRequests],
      [1_500_000_000n, "30d", 10, 5_000_000_000n, 3],
    );
    const stored = JSON.stringify(await database.em().execute("select * from auth.virtual_key"));
    assert.ok(!stored.includes(made.key));
    await close();
  });

  test(`several keys in one question: those that nobody knows are left out (${name})`, async () => {
    const { auth, keys, close } = await setUp(url);
    const made = [await generate(keys, {}, master), await generate(keys, {}, master)].map(({ token }) => token);
    const asked = [...made, masterKeyHash, hashKey("sk-guess-1"), hashKey("sk-guess-2")];
    const { principals } = await auth.authenticateKeys({ keyHashes: asked });
    assert.deepEqual(Object.keys(principals).sort(), [...made, masterKeyHash].sort());
    for (const keyHash of made) assert.equal(principals[keyHash]?.keyId, keyHash);
    assert.deepEqual((await auth.authenticateKeys({})).principals, {});
    await refused(auth.authenticateKeys({ keyHashes: ["sk-not-a-hash"] }), Reason.INVALID_REQUEST, "key_hash");
    const many = Array.from({ length: 501 }, (_, at) => hashKey(`sk-${at}`));
    await refused(auth.authenticateKeys({ keyHashes: many }), Reason.INVALID_REQUEST, "key_hashes");
    await close();
  });

  test(`an empty request makes a key without limits, a budget of 0 is a limit (${name})`, async () => {
    const { auth, keys, close } = await setUp(url);
    const free = await generate(keys, { duration: "-1", spend: 0n, keyType: "default", keyAlias: "" }, master);
    const { principal } = await auth.authenticate({ keyHash: free.token });
    assert.deepEqual(
      [principal?.expiresAt, principal?.models, principal?.metadata.length, principal?.scopes.length],
      [undefined, [], 0, 1],
    );
    const own = principal?.scopes[0];
    assert.deepEqual(
      [own?.maxBudgetNanoUsd, own?.rpmLimit, own?.tpmLimit, own?.maxParallelRequests],
      [undefined, undefined, undefined, undefined],
    );
    const poor = await generate(
      keys,
      { limits: { maxBudget: 0n, rpmLimit: 0n }, blocked: true, models: ["all-proxy-models"] },
      master,
    );
    const answer = await auth.authenticate({ keyHash: poor.token });
    assert.deepEqual([answer.principal?.scopes[0]?.maxBudgetNanoUsd, answer.principal?.scopes[0]?.rpmLimit], [0n, 0]);
    assert.equal(answer.principal?.blocked, true);
    assert.deepEqual(answer.principal?.models, ["*"]);
    await close();
  });

  test(`a chosen key and an alias are unique (${name})`, async () => {
    const { keys, announced, close } = await setUp(url);
    const made = await generate(keys, { key: "sk-chosen-by-the-user", keyAlias: "taken" }, master);
    assert.equal(made.key, "sk-chosen-by-the-user");
    announced.length = 0;
    await refused(generate(keys, { key: made.key }, master), Reason.CONFLICT, "key");
    const duplicate = await refused(generate(keys, { keyAlias: "taken" }, master), Reason.CONFLICT, "key_alias");
    assert.match(duplicate.message, /'taken'/);
    assert.deepEqual(announced, []);
    const race = await Promise.allSettled(
      Array.from({ length: 8 }, () => generate(keys, { keyAlias: "race" }, master)),
    );
    assert.equal(race.filter(({ status }) => status === "fulfilled").length, 1);
    await close();
  });

  test(`key info shows the spend, to the master key and to the key itself (${name})`, async () => {
    const { keys, spent, close } = await setUp(url);
    const made = await generate(keys, { limits: { maxBudget: 7n }, metadata: Buffer.from("{}") }, master);
    spent.set(`key:${made.token}`, 5n);
    for (const [key, options, echoed] of [
      [made.key, master, made.key],
      [made.token, master, made.token],
      ["", virtual(made.token), made.token],
      [made.key, virtual(made.token), made.key],
    ] as const) {
      const { key: named, info } = await keys.getKeyInfo({ key }, options);
      assert.equal(named, echoed);
      assert.deepEqual([info?.spend, info?.settings?.limits?.maxBudget, info?.keyName], [5n, 7n, made.keyName]);
      assert.equal(Buffer.from(info?.settings?.metadata ?? []).toString(), "{}");
    }
    await refused(keys.getKeyInfo({ key: "sk-nobody-has-this" }, master), Reason.NOT_FOUND, "key");
    await refused(keys.getKeyInfo({ key: "" }, master), Reason.INVALID_REQUEST, "key");
    await refused(keys.getKeyInfo({ key: "sk-nobody-has-this" }, virtual(made.token)), Reason.PERMISSION_DENIED, "key");
    await refused(keys.getKeyInfo({ key: made.key }), Reason.PERMISSION_DENIED, "");
    await close();
  });

  test(`an update changes what its mask names, and clears what the update leaves out (${name})`, async () => {
    const { auth, keys, announced, spent, close } = await setUp(url);
    const made = await generate(keys, { keyAlias: "before", limits: { maxBudget: 5n, rpmLimit: 3n } }, master);
    await generate(keys, { keyAlias: "taken by another" }, master);
    spent.set(`key:${made.token}`, 2n);
    announced.length = 0;
    const paths = ["settings.limits.max_budget", "settings.limits.rpm_limit", "settings.blocked", "duration"];
    const { key, stored } = await keys.updateKey(
      {
        key: made.key,
        duration: "1h",
        settings: { keyAlias: "not in the mask", blocked: true, limits: { maxBudget: 9n } },
        updateMask: { paths },
      },
      master,
    );
    assert.deepEqual([key, stored?.spend, stored?.settings?.keyAlias], [made.key, 2n, "before"]);
    assert.deepEqual([stored?.settings?.limits?.maxBudget, stored?.settings?.limits?.rpmLimit], [9n, undefined]);
    assert.deepEqual(announced, [made.token]);
    const { principal } = await auth.authenticate({ keyHash: made.token });
    assert.deepEqual([principal?.blocked, principal?.scopes[0]?.maxBudgetNanoUsd], [true, 9n]);
    assert.equal(timestampDate(principal?.expiresAt ?? assert.fail()).getTime(), now + 3_600_000);
    const alias = (keyAlias: string) => ({ settings: { keyAlias }, updateMask: { paths: ["settings.key_alias"] } });
    await refused(
      keys.updateKey({ key: made.key, ...alias("taken by another") }, master),
      Reason.CONFLICT,
      "key_alias",
    );
    await refused(keys.updateKey({ key: "sk-nobody-has-this", ...alias("x") }, master), Reason.NOT_FOUND, "key");
    await refused(keys.updateKey({ key: made.key }, virtual(made.token)), Reason.PERMISSION_DENIED, "");
    await close();
  });

  test(`keys are deleted by key, hash or alias, and announced (${name})`, async () => {
    const { auth, keys, announced, close } = await setUp(url);
    const made = await Promise.all(["d1", "d2", "d3"].map((keyAlias) => generate(keys, { keyAlias }, master)));
    const [one, two, three] = made.map(({ key, token }) => ({ key, token }));
    assert.ok(one && two && three);
    announced.length = 0;
    const byKey = await keys.deleteKeys({ keys: [one.key, two.token, "sk-unknown-key-here"] }, master);
    assert.deepEqual(byKey.deletedKeys.toSorted(), [one.key, two.token].toSorted());
    const byAlias = await keys.deleteKeys({ keyAliases: ["d3", "nobody"] }, master);
    assert.deepEqual(byAlias.deletedKeys, ["d3"]);
    assert.deepEqual(announced.toSorted(), [one.token, two.token, three.token].toSorted());
    for (const { token } of made) await refused(auth.authenticate({ keyHash: token }), Reason.KEY_INVALID, "key");
    await refused(keys.deleteKeys({ keys: [one.key] }, master), Reason.NOT_FOUND, "keys");
    await refused(keys.deleteKeys({}, master), Reason.INVALID_REQUEST, "keys");
    await refused(keys.deleteKeys({ keys: ["a"], keyAliases: ["b"] }, master), Reason.INVALID_REQUEST, "keys");
    await close();
  });

  test(`a change is announced when the bus is back, also by the next process (${name})`, async () => {
    const first = await setUp(url, true, false);
    const made = await generate(first.keys, {}, master);
    assert.deepEqual(first.announced, []);
    first.bus.connected = true;
    await until(() => first.announced.includes(made.token));
    first.bus.connected = false;
    const late = await generate(first.keys, {}, master);
    await first.close();
    const second = await setUp(url);
    await until(() => second.announced.includes(late.token));
    assert.deepEqual(await second.database.em().execute("select * from auth.outbox"), []);
    await second.close();
  });
}

const [anyDatabase] = databases.all;
assert.ok(anyDatabase);

test("the master key is known without the database, an unknown key is KEY_INVALID, a broken database UNAVAILABLE", async () => {
  const { auth, keys, database, close } = await setUp(anyDatabase.url);
  await refused(auth.authenticate({ keyHash: hashKey("sk-unknown") }), Reason.KEY_INVALID, "key");
  await refused(auth.authenticate({ keyHash: "sk-master" }), Reason.INVALID_REQUEST, "key_hash");
  await database.close();
  const { principal } = await auth.authenticate({ keyHash: masterKeyHash });
  assert.equal(principal?.kind, CallerKind.MASTER);
  assert.deepEqual(
    principal?.scopes.map(({ scope, maxBudgetNanoUsd }) => [scope, maxBudgetNanoUsd]),
    [[`key:${masterKeyHash}`, undefined]],
  );
  await refused(auth.authenticate({ keyHash: hashKey("sk-unknown") }), Reason.UNAVAILABLE, "");
  const member = as({ userId: "u", teamIds: ["t"], roles: [Role.INTERNAL_USER] });
  for (const work of [
    keys.listKeys({}, master),
    keys.listKeyAliases({}, member),
    keys.getKeyInfo({ key: "sk-x" }, member),
    keys.getKeyInfos({ keys: ["sk-x"] }, member),
    keys.generateKey({ settings: { teamId: "t" } }, member),
    keys.regenerateKey({ key: "sk-x" }, master),
    keys.collectKey({ key: "sk-x" }, master),
    keys.blockKey({ key: "sk-x" }, master),
    keys.resetKeySpend({ key: "sk-x", resetTo: 0n }, master),
  ]) {
    await refused(work, Reason.UNAVAILABLE, "");
  }
  await close();
});

test("without accounting only the spend of a key is unknown", async () => {
  const { keys, close } = await setUp(anyDatabase.url, false);
  const made = await generate(keys, {}, master);
  await refused(keys.getKeyInfo({ key: made.key }, master), Reason.UNAVAILABLE, "");
  await close();
});

test("who is not the master key makes and deletes nothing", async () => {
  const { keys, close } = await setUp(anyDatabase.url);
  for (const options of [virtual(masterKeyHash), {}, { headers: { "x-sluice-caller-bin": "AA" } }]) {
    await refused(generate(keys, {}, options), Reason.PERMISSION_DENIED, "");
    await refused(keys.deleteKeys({ keys: ["x"] }, options), Reason.PERMISSION_DENIED, "");
  }
  await close();
});

const nested = (levels: number) => Buffer.from(`{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`);
const badRequests: [FlatKey, string][] = [
  [{ key: "sk-short" }, "key"],
  [{ key: "pk-does-not-start-right" }, "key"],
  [{ key: "sk-with a space in it" }, "key"],
  [{ key: `sk-${"x".repeat(600)}` }, "key"],
  [{ key: "sk-master" }, "key"],
  [{ duration: "soon" }, "duration"],
  [{ duration: "-5d" }, "duration"],
  [{ duration: "999999999999d" }, "duration"],
  [{ limits: { budgetDuration: "-1" } }, "budget_duration"],
  [{ limits: { budgetDuration: "2mo" } }, "budget_duration"],
  [{ limits: { maxBudget: -1n } }, "max_budget"],
  [{ limits: { rpmLimit: -1n } }, "rpm_limit"],
  [{ limits: { rpmLimit: 2n ** 31n } }, "rpm_limit"],
  [{ limits: { tpmLimit: -1n } }, "tpm_limit"],
  [{ limits: { tpmLimit: 2n ** 60n } }, "tpm_limit"],
  [{ limits: { maxParallelRequests: -1n } }, "max_parallel_requests"],
  [{ models: [""] }, "models"],
  [{ models: ["a\0b"] }, "models"],
  [{ models: Array.from({ length: 1001 }, (_, n) => `m${n}`) }, "models"],
  [{ keyAlias: "x".repeat(257) }, "key_alias"],
  [{ keyAlias: "line\nbreak" }, "key_alias"],
  [{ userId: "nul\0" }, "user_id"],
  [{ teamId: "\u0007" }, "team_id"],
  [{ metadata: Buffer.from("[1]") }, "metadata"],
  [{ metadata: Buffer.from("{") }, "metadata"],
  [{ metadata: Buffer.from([0xff]) }, "metadata"],
  [{ metadata: Buffer.from('{"a":"\\u0000"}') }, "metadata"],
  [{ metadata: Buffer.from('{"a\\ud800":1}') }, "metadata"],
  [{ metadata: nested(100) }, "metadata"],
  [{ metadata: nested(30_000) }, "metadata"],
  [{ metadata: Buffer.from(JSON.stringify({ a: "x".repeat(70_000) })) }, "metadata"],
  [{ spend: -1n }, "spend"],
  [{ keyAlias: "zero\u200bwidth" }, "key_alias"],
  [{ keyAlias: "\u202eright to left" }, "key_alias"],
  [{ keyAlias: " ends" }, "key_alias"],
  [{ teamId: "no-such-team" }, "team_id"],
  [{ projectId: "no-such-project" }, "project_id"],
  [{ organizationId: "no-such-organization" }, "organization_id"],
  [{ limits: { budgetId: "no-such-budget" } }, "budget_id"],
  [{ keyType: "other" }, "key_type"],
  [{ autoRotate: true }, "rotation_interval"],
  [{ tempBudgetIncrease: 1n }, "temp_budget_increase"],
  [{ rpmLimitType: "sometimes" }, "rpm_limit_type"],
];

test("a request that makes no sense is refused and names the field", async () => {
  const { keys, database, close } = await setUp(anyDatabase.url);
  const count = async () => database.em().count(VirtualKey);
  const before = await count();
  for (const [request, param] of badRequests) {
    await refused(generate(keys, request, master), Reason.INVALID_REQUEST, param);
  }
  assert.equal(await count(), before);
  await close();
});
