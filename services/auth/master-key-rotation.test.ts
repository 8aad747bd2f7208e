import assert from "node:assert/strict";
import { after, beforeEach, describe, test } from "node:test";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { callerHeaders, masterCaller } from "#chassis/caller-header.ts";
import { openDatabase } from "#chassis/database/database.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { openKeyring } from "#chassis/keyring.ts";
import { createLogger } from "#chassis/log.ts";
import { createSealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { startTestDatabases, type TestDatabase } from "#chassis/testing/databases.ts";
import { startTestEmbedded } from "#chassis/testing/embedded.ts";
import type { GivenKeys } from "#chassis/wrapping.ts";
import { KeyringService } from "#gen/sluice/auth/v1/keyring_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { KeyWrapping, WaitingKey } from "./db/entities.ts";
import { authSchema } from "./db/schema.ts";
import { checkKeyring, prepareKeyring, readWrappings } from "./keyring.ts";
import { hashKey } from "./secret-key.ts";
import { as, generate, now, refused, type Setup, setUp } from "./testing/auth-fixture.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

const hour = 3_600_000;
const lines: string[] = [];
const log = createLogger("info", (line) => lines.push(line));

function given(keys: { salt?: string; master?: string }): GivenKeys {
  const of = (secret: string | undefined, place: string) =>
    secret === undefined ? undefined : { secret: new Secret(secret), place };
  return { salt: of(keys.salt, "SLUICE_SALT_KEY"), master: of(keys.master, "SLUICE_MASTER_KEY") };
}

for (const { name, url } of databases.all) {
  describe(`the master key (${name})`, () => {
    const replicas: Setup[] = [];
    beforeEach(async () => {
      lines.length = 0;
      const database = await openDatabase({ url, ...authSchema, log });
      for (const table of ["keyring", "master_key_rotation", "waiting_key", "outbox"]) {
        await database.em().execute(`delete from auth.${table}`);
      }
      await database.close();
    });
    const start = async (master: string, salt?: string) => {
      const replica = await replicaOf(url, master, salt);
      replicas.push(replica);
      return replica;
    };
    const closeAll = async () => {
      for (const replica of replicas.splice(0)) await replica.close();
    };

    test("is replaced: the new one works at once everywhere, the old one until its grace ends", async (t) => {
      t.after(closeAll);
      const [one, two] = [await start("sk-old-1"), await start("sk-old-1")];
      const made = await generate(one.keys, {}, calling("sk-old-1"));
      assert.equal(await who(two, "sk-new-1"), "nobody");
      const answer = await one.keys.regenerateKey(
        { key: "sk-old-1", newMasterKey: "sk-new-1", gracePeriod: "2h" },
        calling("sk-old-1"),
      );
      assert.deepEqual([answer.key, answer.tokenId], ["sk-new-1", hashKey("sk-new-1")]);
      assert.equal(answer.oldKeyExpires && timestampDate(answer.oldKeyExpires).getTime(), now + 2 * hour);
      assert.deepEqual(one.announced.slice(-2).toSorted(), [hashKey("sk-old-1"), hashKey("sk-new-1")].toSorted());
      // Another bus: it has heard nothing.
      for (const replica of [two, one]) assert.equal(await who(replica, "sk-new-1"), "master");
      for (const replica of [two, one]) assert.equal(await who(replica, "sk-old-1"), `master until ${now + 2 * hour}`);
      const three = await start("sk-new-1");
      assert.equal(await who(three, "sk-new-1"), "master");
      assert.equal(await who(three, "sk-old-1"), "nobody");
      for (const replica of [one, two, three]) {
        assert.equal(await who(replica, made.key), "virtual");
        replica.clock.now += 2 * hour;
        assert.equal(await who(replica, "sk-old-1"), "nobody");
        assert.equal(await who(replica, "sk-new-1"), "master");
      }
      assert.ok(!lines.join("\n").includes("sk-new-1"), "no key is logged");
    });

    test("may be replaced again before anybody restarts", async (t) => {
      t.after(closeAll);
      const one = await start("sk-old-2");
      for (const [key, newMasterKey] of [
        ["sk-old-2", "sk-mid-2"],
        ["sk-mid-2", "sk-new-2"],
      ] as const) {
        await one.keys.regenerateKey({ key, newMasterKey, gracePeriod: "1h" }, calling(key));
      }
      assert.equal(await who(one, "sk-new-2"), "master");
      for (const key of ["sk-old-2", "sk-mid-2"]) assert.equal(await who(one, key), `master until ${now + hour}`);
      for (const [master, accepted] of [
        ["sk-mid-2", ["nobody", `master until ${now + hour}`, "master"]],
        ["sk-new-2", ["nobody", "nobody", "master"]],
      ] as const) {
        const other = await start(master);
        const seen = [];
        for (const key of ["sk-old-2", "sk-mid-2", "sk-new-2"]) seen.push(await who(other, key));
        assert.deepEqual(seen, accepted);
      }
    });

    test("is replaced by administrators who know it, and by nothing that cannot be one", async (t) => {
      t.after(closeAll);
      const { keys } = await start("sk-old-3");
      const virtual = await generate(keys, {}, calling("sk-old-3"));
      const ask = (request: Parameters<typeof keys.regenerateKey>[0], options = calling("sk-old-3")) =>
        keys.regenerateKey({ key: "sk-old-3", newMasterKey: "sk-new-3", ...request }, options);
      const denied = as({ userId: "u", roles: [Role.INTERNAL_USER, Role.TEAM_ADMIN, Role.ORG_ADMIN] });
      await assert.rejects(ask({}, denied), (error) => ConnectError.from(error).code === Code.PermissionDenied);
      for (const newMasterKey of ["", "abc", "with a space", "tab\there", "ünicode", "sk-old-3", virtual.key]) {
        await refused(ask({ newMasterKey }), Reason.INVALID_REQUEST, "new_master_key");
      }
      await refused(ask({ newKey: "sk-0123456789abcdef" }), Reason.INVALID_REQUEST, "new_master_key");
      await refused(ask({ settings: { models: ["m"] } }), Reason.INVALID_REQUEST, "new_master_key");
      for (const key of ["", "sk-other", virtual.key, hashKey("sk-old-3")]) {
        await refused(ask({ key }), Reason.INVALID_REQUEST, "key");
      }
      await refused(ask({ gracePeriod: "soon" }), Reason.INVALID_REQUEST, "grace_period");
      await ask({}, as({ userId: "admin", roles: [Role.PROXY_ADMIN] }));
      await refused(ask({}), Reason.CONFLICT, "key");
      await refused(ask({ newMasterKey: "sk-newer-3" }), Reason.CONFLICT, "key");
      const back = ask({ key: "sk-new-3", newMasterKey: "sk-old-3" });
      await refused(back, Reason.INVALID_REQUEST, "new_master_key");
      const taken = keys.generateKey({ key: "sk-new-3-as-a-virtual-key" }, calling("sk-new-3"));
      assert.ok((await taken).key);
      await ask({ key: "sk-new-3", newMasterKey: "sk-newest-of-the-third" });
      const asVirtual = keys.generateKey({ key: "sk-newest-of-the-third" }, calling("sk-new-3"));
      await refused(asVirtual, Reason.CONFLICT, "key");
    });

    test("of two that replace it at once exactly one wins", async (t) => {
      t.after(closeAll);
      const both = [await start("sk-race"), await start("sk-race")];
      let current = "sk-race";
      for (let round = 0; round < 20; round += 1) {
        const outcomes = await Promise.allSettled(
          both.map(({ keys }, at) =>
            keys.regenerateKey({ key: current, newMasterKey: `sk-race-${round}-${at}` }, calling(current)),
          ),
        );
        const won = outcomes.findIndex(({ status }) => status === "fulfilled");
        const [lost] = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
        assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1, String(round));
        await refused(Promise.reject(lost), Reason.CONFLICT, "key");
        current = `sk-race-${round}-${won}`;
        for (const replica of both) {
          assert.equal(await who(replica, current), "master");
          assert.equal(await who(replica, `sk-race-${round}-${1 - won}`), "nobody");
        }
      }
    });

    test("wraps the keyring anew where no salt key does, and the old wrapping goes with the old key", async (t) => {
      t.after(closeAll);
      const one = await start("sk-old-4");
      const before = await keyOf(one, { master: "sk-old-4" });
      await one.keys.regenerateKey({ key: "sk-old-4", newMasterKey: "sk-new-4" }, calling("sk-old-4"));
      for (const master of ["sk-old-4", "sk-new-4"]) assert.equal(await keyOf(one, { master }), before);
      one.clock.now += 24 * hour;
      assert.equal(await keyOf(one, { master: "sk-new-4" }), before);
      await assert.rejects(keyOf(one, { master: "sk-old-4" }), /was replaced, and its grace period ended/);
      const { wrappings } = await one.client(KeyringService).getKeyring({});
      assert.deepEqual(
        wrappings.map(({ id, wrapped }) => [id, wrapped.length > 0]).toSorted(),
        [idOf("sk-new-4", true), idOf("sk-old-4", false)].toSorted(),
      );
      const salted = await start("sk-new-4", "salt");
      const rows = await readWrappings(salted.database.em(), new Date(now));
      await salted.keys.regenerateKey({ key: "sk-new-4", newMasterKey: "sk-newer-4" }, calling("sk-new-4"));
      assert.deepEqual(await readWrappings(salted.database.em(), new Date(now)), rows, "the sealing is left alone");
      assert.equal(await keyOf(salted, { salt: "salt", master: "anything" }), before);
    });

    test("is checked before anything is written, and a new salt key is taken", async (t) => {
      t.after(closeAll);
      const one = await start("sk-old-5");
      const em = one.database.em();
      const check = (keys: Parameters<typeof given>[0], at = now) =>
        checkKeyring(em, { given: given(keys), log, clock: () => at });
      await check({ master: "sk-old-5" });
      await assert.rejects(check({ master: "sk-wrong" }), /SLUICE_MASTER_KEY is not the master key/);
      await one.keys.regenerateKey({ key: "sk-old-5", newMasterKey: "sk-new-5" }, calling("sk-old-5"));
      await check({ master: "sk-old-5" });
      assert.match(lines.join("\n"), /the master key was replaced; set the new one/);
      await assert.rejects(
        check({ master: "sk-old-5" }, now + 24 * hour),
        (error) => error instanceof ConfigurationError && /grace period ended on 2026-02-01/.test(error.message),
      );
      const salted = await start("sk-new-5", "salt-5");
      assert.match(lines.join("\n"), /sealed under the salt key now/);
      await check({ salt: "salt-5", master: "sk-anything" });
      await check({ master: "sk-new-5" });
      await assert.rejects(check({ salt: "wrong", master: "sk-new-5" }), /salt key in SLUICE_SALT_KEY is not/);
      await assert.rejects(check({ master: "sk-new-5" }, now + 24 * hour), /sealed under a salt key since/);
      assert.equal(await keyOf(salted, { salt: "salt-5" }), await keyOf(one, { master: "sk-new-5" }));
    });

    test("that was generated opens for one that is set in its place, beside it", async (t) => {
      t.after(closeAll);
      const one = await start("sk-generated-6");
      const em = one.database.em();
      const key = { secret: new Secret("sk-generated-6"), place: "master.key" };
      const keys = { ...given({ master: "sk-set-6" }), former: key };
      const store = { given: keys, grace: "24h", log, clock: () => now };
      await assert.rejects(
        checkKeyring(em, { ...store, given: given({ master: "sk-set-6" }) }),
        /is not the master key/,
      );
      await checkKeyring(em, store);
      await prepareKeyring(one.database, store);
      const wrappings = await prepareKeyring(one.database, store);
      assert.deepEqual(
        wrappings.map(({ id, expiresAt }) => [id, expiresAt]).toSorted(),
        ["sk-generated-6", "sk-set-6"].map((master) => [createSealer(new Secret(master)).keyId, undefined]).toSorted(),
      );
      assert.equal(await keyOf(one, { master: "sk-set-6" }), await keyOf(one, { master: "sk-generated-6" }));
      const salted = { ...keys, ...given({ salt: "salt-6", master: "sk-unknown-6" }) };
      await prepareKeyring(one.database, { ...store, given: salted });
      assert.equal(await keyOf(one, { salt: "salt-6" }), await keyOf(one, { master: "sk-generated-6" }));
      await assert.rejects(checkKeyring(em, { ...store, clock: () => now + 24 * hour }), /sealed under a salt key/);
    });

    test("opens what the router kept before there was a keyring, and what waited then", async (t) => {
      const database = await openDatabase({ url, ...authSchema, log });
      t.after(() => database.close());
      const former = createSealer(new Secret("sk-old-6"));
      const em = database.em();
      const wrapped = Buffer.from(former.seal(new Secret("the router's key")));
      await em.insert(KeyWrapping, {
        wrappingId: "",
        kind: "unknown",
        wrapped,
        createdAt: new Date(now),
        expiresAt: null,
      });
      const sealed = Buffer.from(former.seal(new Secret("sk-waiting"))).toString("base64");
      await em.insert(WaitingKey, { keyId: "w", sealed });
      const store = { given: given({ master: "sk-old-6" }), grace: "24h", log, clock: () => now };
      const wrappings = await prepareKeyring(database, store);
      assert.deepEqual(
        wrappings.map(({ id, kind }) => [id, kind]),
        [[former.keyId, "master"]],
      );
      const { signal } = new AbortController();
      const keyring = await openKeyring({ given: store.given, load: async () => wrappings, log, signal }, 0);
      const waiting = await database.em().findOneOrFail(WaitingKey, { keyId: "w" });
      assert.equal(
        createSealer(new Secret("the router's key")).open(Buffer.from(waiting.sealed, "base64")).reveal(),
        "sk-waiting",
      );
      assert.equal(keyring.open(Buffer.from(waiting.sealed, "base64")).reveal(), "sk-waiting");
    });

    test("two that start at once on an empty database make one key", async (t) => {
      t.after(closeAll);
      const [one, two] = await Promise.all([start("sk-7"), start("sk-7")]);
      assert.equal((await readWrappings(one.database.em(), new Date(now))).length, 1);
      assert.equal(await keyOf(one, { master: "sk-7" }), await keyOf(two, { master: "sk-7" }));
    });
  });
}

test("what the router kept is taken over from a database of the version before", async (t) => {
  const { url, stop } = await startTestEmbedded();
  const former = createSealer(new Secret("sk-former"));
  const before = await openDatabase({ url, ...authSchema, migrations: authSchema.migrations.slice(0, 5), log });
  const em = before.em();
  await em.execute("create schema router");
  await em.execute("create table router.state (wrapped_key bytea null)");
  await em.execute("insert into router.state values (?)", [Buffer.from(former.seal(new Secret("the router's key")))]);
  const check = (master: string) => checkKeyring(em, { given: given({ master }), log, clock: () => now });
  await assert.rejects(check("sk-wrong"), /SLUICE_MASTER_KEY is not the key/);
  await check("sk-former");
  await before.close();
  const database = await openDatabase({ url, ...authSchema, log });
  t.after(async () => {
    await database.close();
    await stop();
  });
  const [row, ...more] = await prepareKeyring(database, {
    given: given({ master: "sk-former" }),
    grace: "24h",
    log,
    clock: () => now,
  });
  assert.equal(more.length, 0);
  assert.equal(former.open(row?.wrapped ?? new Uint8Array()).reveal(), "the router's key");
});

/** An auth that was started with a master key, over a keyring of its database. */
async function replicaOf(url: TestDatabase["url"], master: string, salt?: string): Promise<Setup> {
  const keys = given({ master, ...(salt === undefined ? {} : { salt }) });
  const database = await openDatabase({ url, ...authSchema, log });
  const load = () => prepareKeyring(database, { given: keys, grace: "24h", log, clock: () => now });
  const keyring = await openKeyring({ given: keys, load, log, signal: new AbortController().signal }, 0);
  await database.close();
  return setUp(url, true, true, {}, { keyring, masterKey: { hash: hashKey(master) } });
}

function idOf(master: string, opens: boolean): [string, boolean] {
  return [createSealer(new Secret(master)).keyId, opens];
}

function calling(masterKey: string): CallOptions {
  return { headers: callerHeaders(masterCaller(hashKey(masterKey))) };
}

/** Who a key is for a replica. */
async function who({ auth }: Setup, key: string): Promise<string> {
  try {
    const { principal } = await auth.authenticate({ keyHash: hashKey(key) });
    if (principal?.kind !== CallerKind.MASTER) return "virtual";
    const until = principal.expiresAt && timestampDate(principal.expiresAt).getTime();
    return until === undefined ? "master" : `master until ${until}`;
  } catch (error) {
    if (ConnectError.from(error).code === Code.Unauthenticated) return "nobody";
    throw error;
  }
}

/** The id of the key-encryption key that somebody with these keys gets from a replica. */
async function keyOf(replica: Setup, keys: Parameters<typeof given>[0]): Promise<string> {
  const load = () => readWrappings(replica.database.em(), new Date(replica.clock.now));
  const { signal } = new AbortController();
  const keyring = await openKeyring({ given: given(keys), load, log, signal }, 0);
  return Buffer.from(keyring.seal(new Secret("")).subarray(1, 9)).toString("hex");
}
