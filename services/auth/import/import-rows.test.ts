import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { type AccessGroupRow, Outbox, User, type UserRow, VirtualKey, type VirtualKeyRow } from "../db/entities.ts";
import { authSchema } from "../db/schema.ts";
import { accessGroupKind, keyKind, userKind } from "./import-kind.ts";
import { importRetiredKeys, importRows } from "./import-rows.ts";

const then = new Date(Date.UTC(2026, 0, 31));
const authorship = { createdAt: then, createdBy: "them", updatedAt: then, updatedBy: "import", version: 1 };
const databases = await startTestDatabases();
after(() => databases.stop());

function keyRow(keyId: string, keyAlias: string | null): VirtualKeyRow {
  const nothing = { userId: null, teamId: null, organizationId: null, projectId: null, expiresAt: null };
  const rotation = { rotationCount: 0, rotatedAt: null, rotateAt: null };
  const doc = keyAlias === null ? {} : { keyAlias };
  return { keyId, keyName: "sk-...", keyAlias, doc, ...nothing, ...rotation, ...authorship };
}

function userRow(userId: string, userEmail: string): UserRow {
  const rest = { userAlias: null, userRole: "internal_user", ssoUserId: null };
  return { userId, userEmail, doc: { userEmail }, ...rest, ...authorship };
}

for (const { name, url } of databases.all) {
  describe(`rows from another gateway, ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await openDatabase({ url, ...authSchema, log: createLogger("error", () => undefined) });
    });
    after(() => database.close());

    test("an alias that somebody has is left out, here, there and within the import", async () => {
      await database.em().insert(VirtualKey, keyRow("own", "mine"));
      const rows = [keyRow("k1", "mine"), keyRow("k2", "theirs"), keyRow("k3", "theirs")];
      for (const fate of ["created", "unchanged"] as const) {
        const outcomes = await importRows(database, keyKind, rows, false);
        assert.deepEqual(
          outcomes.map((each) => [each.scope, each.fate, ...each.taken]),
          [
            ["key:k1", fate, "key_alias"],
            ["key:k2", fate],
            ["key:k3", fate, "key_alias"],
          ],
        );
      }
    });

    test("addresses are the same in any case; a group without its name is left", async () => {
      await database.em().insert(User, userRow("own", "Ada@example.com"));
      const [user] = await importRows(database, userKind, [userRow("u1", "ada@EXAMPLE.com")], false);
      assert.deepEqual([user?.fate, user?.taken], ["created", ["user_email"]]);
      const group = (accessGroupId: string): AccessGroupRow => ({
        accessGroupId,
        accessGroupName: "same",
        doc: {},
        ...authorship,
      });
      const groups = await importRows(database, accessGroupKind, [group("g1"), group("g2")], false);
      assert.deepEqual(
        groups.map(({ fate }) => fate),
        ["created", "occupied"],
      );
    });

    test("whoever is changed is announced in the same transaction, and a dry run says the same and writes nothing", async () => {
      const count = () => database.em().count(Outbox);
      const before = await count();
      const row = keyRow("k9", null);
      assert.equal((await importRows(database, keyKind, [row], true))[0]?.fate, "created");
      assert.equal(await count(), before);
      assert.equal((await importRows(database, keyKind, [row], false))[0]?.fate, "created");
      assert.equal(await count(), before + 1);
      const changed = { ...row, doc: { blocked: true } };
      assert.equal((await importRows(database, keyKind, [changed], false))[0]?.fate, "updated");
      const stored = await database.em().findOneOrFail(VirtualKey, { keyId: "k9" });
      assert.deepEqual([stored.version, stored.doc, stored.createdBy], [2, { blocked: true }, "them"]);
      await database.em().nativeDelete(VirtualKey, { keyId: "k9" });
      assert.equal((await importRows(database, keyKind, [changed], false))[0]?.fate, "deleted");
    });

    test("a replaced key comes with the one that replaced it, once", async () => {
      const retired = (retiredKeyId: string, keyId: string) => ({ retiredKeyId, keyId, expiresAt: then });
      const both = [retired("old", "k1"), retired("older", "never-taken")];
      assert.equal(await importRetiredKeys(database, both, false), 1);
      assert.equal(await importRetiredKeys(database, both, false), 0);
    });
  });
}
