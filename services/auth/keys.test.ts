import assert from "node:assert/strict";
import { after, test } from "node:test";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import type { ListedKey } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { VirtualKey } from "./db/entities.ts";
import { hashKey } from "./secret-key.ts";
import { as, type FlatKey, generate, master, now, refused, setUp, until } from "./testing/auth-fixture.ts";
import { storeOrganization, storeTeam } from "./testing/stored-rows.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

const hour = 3_600_000;
const user = (userId: string, more: object = {}) => as({ userId, roles: [Role.INTERNAL_USER], ...more });
const member = (userId: string, ...teamIds: string[]) => user(userId, { teamIds });
const teamAdmin = (userId: string, ...teamIds: string[]) =>
  user(userId, { teamIds, adminTeamIds: teamIds, roles: [Role.TEAM_ADMIN, Role.INTERNAL_USER] });

function hashes(keys: readonly ListedKey[]): string[] {
  return keys.map(({ key }) => (key.case === "token" ? key.value : "whole"));
}

function wholes(keys: readonly ListedKey[]) {
  return keys.map(({ key }) => {
    assert.ok(key.case === "details");
    return key.value;
  });
}

for (const { name, url } of databases.all) {
  test(`a key is replaced, and the old one works until its grace ends (${name})`, async () => {
    const { auth, keys, announced, spent, clock, close } = await setUp(url);
    const made = await generate(keys, { keyAlias: "r", limits: { maxBudget: 9n }, userId: "u" }, master);
    spent.set(`key:${made.token}`, 5n);
    spent.set(`key:${made.token}|model:m`, 2n);
    const first = await keys.regenerateKey(
      {
        key: made.key,
        gracePeriod: "1h",
        settings: { limits: { rpmLimit: 3n } },
        updateMask: { paths: ["settings.limits.rpm_limit"] },
      },
      master,
    );
    assert.match(first.key, /^sk-/);
    const { stored } = first;
    assert.deepEqual(
      [stored?.token, stored?.spend, stored?.rotationCount, stored?.settings?.keyAlias, stored?.version],
      [hashKey(first.key), 5n, 1, "r", 2],
    );
    assert.deepEqual([stored?.settings?.limits?.maxBudget, stored?.settings?.limits?.rpmLimit], [9n, 3n]);
    assert.equal(spent.get(`key:${first.tokenId}|model:m`), 2n);
    assert.ok(announced.includes(made.token) && announced.includes(first.tokenId));
    const { principal: old } = await auth.authenticate({ keyHash: made.token });
    assert.deepEqual([old?.keyId, old?.scopes[0]?.scope], [first.tokenId, `key:${first.tokenId}`]);
    assert.equal(old?.expiresAt && timestampDate(old.expiresAt).getTime(), now + hour);
    // A block reaches edges that know the key by its old hash.
    announced.length = 0;
    await keys.blockKey({ key: first.key }, master);
    assert.deepEqual(announced.toSorted(), [made.token, first.tokenId].toSorted());
    await keys.unblockKey({ key: first.tokenId }, master);

    const second = await keys.regenerateKey({ key: first.tokenId, newKey: "sk-chosen-by-somebody" }, master);
    assert.equal(second.key, "sk-chosen-by-somebody");
    await refused(auth.authenticate({ keyHash: first.tokenId }), Reason.KEY_INVALID, "key");
    assert.equal((await auth.authenticate({ keyHash: made.token })).principal?.keyId, second.tokenId);
    await refused(generate(keys, { key: made.key }, master), Reason.CONFLICT, "key");
    const other = await generate(keys, {}, master);
    spent.set(`key:${other.token}`, 77n);
    await refused(keys.regenerateKey({ key: other.key, newKey: second.key }, master), Reason.CONFLICT, "key");
    assert.equal(spent.get(`key:${second.tokenId}`), 5n);
    await refused(keys.regenerateKey({ key: second.key, newKey: second.key }, master), Reason.CONFLICT, "key");
    await refused(
      keys.regenerateKey({ key: other.key, newKey: "sk-master" }, master),
      Reason.INVALID_REQUEST,
      "new_key",
    );
    await refused(keys.regenerateKey({ key: "sk-nobody-has-this" }, master), Reason.NOT_FOUND, "key");
    await refused(keys.regenerateKey({}, master), Reason.INVALID_REQUEST, "key");
    await refused(keys.regenerateKey({ key: second.key, version: 1 }, master), Reason.CONFLICT, "version");
    await refused(keys.regenerateKey({ key: second.key }, user("v")), Reason.PERMISSION_DENIED, "key");
    const own = await keys.regenerateKey({ key: second.key }, user("u"));
    clock.now += hour;
    assert.equal((await keys.getKeyInfo({ key: own.key }, user("u"))).info?.rotationCount, 3);
    await keys.deleteKeys({ keys: [own.key] }, master);
    await refused(auth.authenticate({ keyHash: made.token }), Reason.KEY_INVALID, "key");
    await close();
  });

  test(`a key that is due is replaced by one replica, and its new key collected once (${name})`, async () => {
    const rotation = { enabled: true, intervalMs: 20, grace: undefined, masterGrace: "24h" };
    const one = await setUp(url, true, true, { rotation });
    const two = await setUp(url, true, true, { rotation });
    const { auth, keys, spent, clock } = one;
    const made = await generate(keys, { autoRotate: true, rotationInterval: "30d", userId: "u" }, master);
    assert.equal(made.keyRotationAt && timestampDate(made.keyRotationAt).getTime(), now + 30 * 24 * hour);
    await refused(keys.collectKey({ key: made.key }, master), Reason.NOT_FOUND, "key");
    spent.set(`key:${made.token}`, 4n);
    clock.now += 30 * 24 * hour;
    two.clock.now = clock.now;
    const rotated = async () => (await auth.authenticate({ keyHash: made.token })).principal?.keyId ?? "";
    const state = { keyId: made.token };
    for (let tries = 0; tries < 200 && state.keyId === made.token; tries += 1) {
      await until(() => true);
      await new Promise((resolve) => setTimeout(resolve, 20));
      state.keyId = await rotated();
    }
    const { info } = await keys.getKeyInfo({ key: state.keyId }, master);
    assert.deepEqual([info?.rotationCount, info?.updatedBy], [1, "key-rotation"]);
    await refused(keys.collectKey({ key: made.key }, user("v")), Reason.PERMISSION_DENIED, "key");
    // The holder of the old key, as an edge passes it on that has not heard of the rotation yet.
    const collected = await keys.collectKey({}, as({ keyId: made.token }));
    assert.equal(hashKey(collected.key), state.keyId);
    await refused(keys.collectKey({ key: made.key }, master), Reason.NOT_FOUND, "key");
    assert.equal(await one.database.em().count(VirtualKey, { keyId: made.token }), 0);
    clock.now += 25 * hour;
    two.clock.now = clock.now;
    await keys.updateKey({ key: collected.key, settings: {}, updateMask: { paths: ["settings.auto_rotate"] } }, master);
    await Promise.all([one.close(), two.close()]);
  });

  test(`two replicas that change one key lose nothing (${name})`, async () => {
    const [one, two] = await Promise.all([setUp(url), setUp(url)]);
    const { key } = await generate(one.keys, {}, master);
    const update = (replica: typeof one, at: number) =>
      replica.keys.updateKey(
        {
          key,
          settings: { tags: [`t${at}`], keyAlias: `${name}-${at}` },
          updateMask: { paths: [at % 2 === 0 ? "settings.tags" : "settings.key_alias"] },
        },
        master,
      );
    const updates = Array.from({ length: 20 }, (_, at) => update(at % 4 < 2 ? one : two, at));
    await Promise.all(updates);
    const { info } = await one.keys.getKeyInfo({ key }, master);
    assert.equal(info?.version, 21);
    assert.ok(info.settings?.keyAlias?.startsWith(name) && info.settings.tags.length === 1);
    const stale = [one, two].map(({ keys }) => keys.updateKey({ key, version: 21 }, master));
    const ends = (await Promise.allSettled(stale)).map(({ status }) => status);
    assert.deepEqual(ends.toSorted(), ["fulfilled", "rejected"]);
    await Promise.all([one.close(), two.close()]);
  });

  test(`the list of keys is narrowed to those that have ended, or work on (${name})`, async () => {
    const { keys, database, clock, close } = await setUp(url);
    const t = `ending-${name}`;
    await storeTeam(database, t);
    const made = [];
    for (const duration of ["1h", "2d", undefined]) made.push(await generate(keys, { teamId: t, duration }, master));
    const [hour, days, always] = made.map(({ token }) => token);
    clock.now += 86_400_000;
    const list = async (expires: string, status = "") =>
      hashes((await keys.listKeys({ teamId: t, expires, status }, master)).keys).toSorted();
    assert.deepEqual(await list("expired"), [hour]);
    assert.deepEqual(await list("active"), [days, always].toSorted());
    await keys.deleteKeys({ keys: made.map(({ token }) => token) }, master);
    assert.deepEqual(await list("expired", "deleted"), [hour]);
    assert.deepEqual(await list("active", "deleted"), [days, always].toSorted());
    await refused(keys.listKeys({ expires: "soon" }, master), Reason.INVALID_REQUEST, "expires");
    await close();
  });

  test(`the list of keys is cut into pages, narrowed and sorted (${name})`, async () => {
    const { keys, database, spent, close } = await setUp(url);
    const t = `list-${name}`;
    await storeTeam(database, t);
    const made = [];
    for (let n = 0; n < 7; n += 1) {
      const owner: FlatKey = n < 3 ? { teamId: t } : { userId: `${t}-u${n % 2}` };
      made.push(
        await generate(keys, { keyAlias: `${t}_%${n}`, ...owner, accessGroupIds: n === 6 ? ["g'"] : [] }, master),
      );
    }
    spent.set(`key:${made[4]?.token}`, 8n);
    const list = (request: object, options = master) => keys.listKeys(request, options);
    const first = await list({
      keyAlias: `${t}_%`,
      substringMatching: true,
      size: 3,
      sortBy: "key_alias",
      sortOrder: "asc",
    });
    assert.deepEqual([first.totalCount, first.currentPage, first.totalPages], [7, 1, 3]);
    assert.deepEqual(
      hashes(first.keys),
      made.slice(0, 3).map(({ token }) => token),
    );
    const last = await list({
      keyAlias: `${t.toUpperCase()}_`,
      substringMatching: true,
      size: 3,
      page: 3,
      sortBy: "key_alias",
      returnFullObject: true,
    });
    assert.deepEqual(
      wholes(last.keys).map(({ key }) => key?.settings?.keyAlias),
      [`${t}_%0`],
    );
    assert.equal((await list({ keyAlias: `${t}_` })).totalCount, 0);
    assert.equal((await list({ keyAlias: `${t}X%`, substringMatching: true })).totalCount, 0);
    assert.equal((await list({ teamId: t })).totalCount, 3);
    assert.equal((await list({ accessGroupId: "g'" })).keys.length, 1);
    assert.equal((await list({ keyHash: made[4]?.token, returnFullObject: true })).keys.length, 1);
    const [whole] = wholes((await list({ keyHash: made[4]?.token, expand: ["user"] })).keys);
    assert.deepEqual([whole?.key?.spend, whole?.user], [8n, undefined]);
    await keys.deleteKeys({ keyAliases: [`${t}_%5`] }, master);
    const deleted = await list({ status: "deleted", userId: `${t}-u1`, returnFullObject: true, sortBy: "updated_at" });
    const [gone] = wholes(deleted.keys);
    assert.deepEqual(
      [deleted.totalCount, gone?.key?.token, gone?.deletedBy],
      [1, made[5]?.token, hashKey("sk-master")],
    );
    assert.ok(gone?.deletedAt && gone.key?.createdAt);
    assert.deepEqual(hashes((await list({ status: "deleted", keyAlias: `${t}_%5` })).keys), [made[5]?.token]);

    const aliases = await keys.listKeyAliases({ search: `${t}_%`, size: 4 }, master);
    assert.deepEqual([aliases.totalCount, aliases.totalPages, aliases.size], [6, 2, 4]);
    assert.deepEqual(
      aliases.aliases,
      [0, 1, 2, 3].map((n) => `${t}_%${n}`),
    );
    const infos = await keys.getKeyInfos(
      { keys: [made[2]?.key ?? "", "sk-nobody-has-this", made[0]?.token ?? ""] },
      master,
    );
    assert.deepEqual(
      infos.info.map(({ token }) => token),
      [made[2]?.token, made[0]?.token],
    );
    await close();
  });

  test(`everybody sees the keys that concern them (${name})`, async () => {
    const { keys, database, close } = await setUp(url);
    const [t, o] = [`seen-${name}`, `seen-org-${name}`];
    await storeOrganization(database, o);
    await storeTeam(database, t, { organizationId: o });
    const own = await generate(keys, { userId: `${t}-u`, keyAlias: `${t} own` }, master);
    const ofTeam = await generate(keys, { teamId: t, keyAlias: `${t} team` }, master);
    const others = await generate(keys, { userId: `${t}-v`, keyAlias: `${t} other` }, master);
    assert.equal(ofTeam.settings?.organizationId, o);
    const seen = async (request: object, options: Parameters<typeof keys.listKeys>[1]) =>
      hashes(
        (
          await keys.listKeys(
            { keyAlias: t, substringMatching: true, sortBy: "key_alias", sortOrder: "asc", ...request },
            options,
          )
        ).keys,
      );
    const all = [others.token, own.token, ofTeam.token];
    const plain = member(`${t}-u`, t);
    const orgAdmin = as({ userId: "boss", adminOrganizationIds: [o], roles: [Role.ORG_ADMIN] });
    assert.deepEqual(await seen({}, as({ roles: [Role.PROXY_ADMIN_VIEWER] })), all);
    assert.deepEqual(await seen({}, plain), [own.token]);
    assert.deepEqual(await seen({ includeTeamKeys: true }, plain), [own.token]);
    assert.deepEqual(await seen({ userId: `${t}-v` }, plain), []);
    assert.deepEqual(await seen({ includeTeamKeys: true }, teamAdmin(`${t}-u`, t)), [own.token, ofTeam.token]);
    assert.deepEqual(await seen({ teamId: t }, teamAdmin("x", t)), [ofTeam.token]);
    assert.deepEqual(await seen({ organizationId: o }, orgAdmin), [ofTeam.token]);
    assert.deepEqual(await seen({ teamId: t }, user("x")), []);
    await storeTeam(database, t, { organizationId: o, teamMemberPermissions: ["/key/list"] });
    assert.deepEqual(await seen({ includeTeamKeys: true }, plain), [own.token, ofTeam.token]);
    const { aliases } = await keys.listKeyAliases({ search: t }, plain);
    assert.deepEqual(aliases, [`${t} own`, `${t} team`]);
    await refused(keys.getKeyInfos({ keys: [others.key] }, plain), Reason.NOT_FOUND, "keys");
    await close();
  });
}
