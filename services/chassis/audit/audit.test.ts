import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Migration } from "@mikro-orm/migrations";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { setActor } from "#chassis/audit/actor.ts";
import { appendEntry } from "#chassis/audit/append-entry.ts";
import { auditedTable } from "#chassis/audit/audited-table.ts";
import { AuditEntry, type AuditEntryRow } from "#chassis/audit/entry.ts";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { startTestDatabases, type TestDatabases } from "#chassis/testing/databases.ts";
import { AdminCallerSchema } from "#gen/sluice/rest/v1/caller_pb.ts";

class Things extends Migration {
  override up(): void {
    this.addSql(`create table audited.thing (
      a text not null, b text not null, name text null, doc jsonb null, free jsonb null, sealed_box bytea null,
      blocked boolean not null default false, rotation_count int not null default 0,
      updated_at timestamptz null, updated_by text null, version int null, primary key (a, b)
    )`);
    for (const statement of auditedTable("audited.thing", ["a", "b"])) this.addSql(statement);
  }
}

const schema = {
  schema: "audited",
  audited: true,
  entities: [AuditEntry],
  migrations: [{ name: "0001-things", class: Things }],
};
const log = createLogger("error", () => undefined);

const databases: TestDatabases = await startTestDatabases();
after(() => databases.stop());

for (const { name, url } of databases.all) {
  describe(`what the audit records on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await openDatabase({ url, ...schema, log });
    });
    after(() => database.close());

    /** Runs statements in one transaction and returns the entries that it left. */
    async function entriesOf(
      work: (em: SqlEntityManager) => Promise<unknown>,
      caller?: MessageInitShape<typeof AdminCallerSchema>,
    ): Promise<AuditEntryRow[]> {
      const [{ seq } = { seq: "0" }] = await database.em().execute<{ seq: string }[]>("select seq from audit.head");
      await database.transaction(async (em) => {
        if (caller !== undefined) await setActor(em, create(AdminCallerSchema, caller));
        await work(em);
      });
      return database.em().find(AuditEntry, { seq: { $gt: BigInt(seq) } }, { orderBy: { seq: "asc" } });
    }

    function sql(statement: string, ...parameters: unknown[]) {
      return (em: SqlEntityManager) => em.execute(statement, parameters);
    }

    test("who, from where, by which call, what, before and after", async () => {
      const caller = { userId: "u", keyId: "k", address: "10.1.2.3", operation: "POST /thing" };
      const made = await entriesOf(sql("insert into audited.thing (a, b, name) values ('1', '2', 'old')"), caller);
      assert.equal(made.length, 1);
      assert.deepEqual(
        made.map(({ changedBy, userId, keyId, master, address, operation }) => ({
          ...{ changedBy, userId, keyId, master, address, operation },
        })),
        [{ changedBy: "u", master: false, ...caller }],
      );
      assert.deepEqual(
        made.map(({ tableName, objectId, action, before }) => [tableName, objectId, action, before]),
        [["audited.thing", "1/2", "created", null]],
      );
      const [changed] = await entriesOf(sql("update audited.thing set name = 'new' where a = '1'"), {
        ...{ keyId: "m", master: true, changedBy: "somebody \ud800 \u0000 else" },
      });
      assert.deepEqual([changed?.before?.name, changed?.after?.name], ["old", "new"]);
      assert.deepEqual([changed?.changedBy, changed?.master], ["somebody \ufffd \ufffd else", true]);
      const [gone] = await entriesOf(sql("delete from audited.thing where a = '1'"));
      assert.deepEqual([gone?.action, gone?.before?.name, gone?.after], ["deleted", "new", null]);
      assert.match(gone?.changedBy ?? "", /^database:\w+$/);
      assert.equal(gone?.operation, "SQL");
    });

    test("what the row tells is the action; bookkeeping alone is none", async () => {
      await entriesOf(sql("insert into audited.thing (a, b, doc) values ('2', '', '{}')"));
      const cases: [set: string, actions: string[]][] = [
        ["blocked = true", ["blocked"]],
        ["blocked = true, name = 'x'", ["updated"]],
        ["blocked = false", ["unblocked"]],
        [`doc = '{"blocked": true}'`, ["blocked"]],
        [`doc = '{"blocked": false}'`, ["unblocked"]],
        ["rotation_count = 1, blocked = true", ["rotated"]],
        ["updated_at = now(), updated_by = 'x', version = 2", []],
        ["name = name", []],
      ];
      for (const [set, actions] of cases) {
        const entries = await entriesOf(sql(`update audited.thing set ${set} where a = '2'`));
        assert.deepEqual([set, entries.map(({ action }) => action)], [set, actions]);
      }
      const truncated = await entriesOf(sql("truncate audited.thing"));
      assert.deepEqual(
        truncated.map(({ action, tableName }) => [action, tableName]),
        [["truncated", "audited.thing"]],
      );
    });

    test("what is rolled back leaves nothing; a savepoint that is, neither", async () => {
      const insert = (id: string) => sql("insert into audited.thing (a, b) values (?, '')", id);
      const none = await entriesOf((em) => em.transactional(insert("3")).then(() => assert.fail("undo"))).catch(
        () => undefined,
      );
      assert.equal(none, undefined);
      const entries = await entriesOf(async (em) => {
        await insert("4")(em);
        await em.execute("savepoint here");
        await insert("5")(em);
        await em.execute("rollback to savepoint here");
        await insert("6")(em);
      });
      assert.deepEqual(
        entries.map(({ objectId }) => objectId),
        ["4/", "6/"],
      );
      const [{ count } = { count: -1 }] = await database
        .em()
        .execute<{ count: number }[]>("select count(*)::int as count from audit.log where object_id in ('3/', '5/')");
      assert.equal(count, 0);
    });

    test("secrets stay out, in whatever they are, and one that has changed says so", async () => {
      const metadata = (secret: string) => ({
        api_key: secret,
        max_tokens: 5,
        note: "harmless",
        reference_token: "os.environ/NAME",
        pasted: `the key is sk-${secret}-0123456789`,
        logging: [{ callback_name: "langfuse", callback_vars: { langfuse_host: `https://${secret}` } }],
        deep: [{ headers: [{ Authorization: secret }, { x: `Bearer ${secret}` }] }],
        numbers: { pin_secret: 1234 },
      });
      const row = (secret: string) => [
        JSON.stringify({ keyAlias: "a", metadata: Buffer.from(JSON.stringify(metadata(secret))).toString("base64") }),
        JSON.stringify({ api_base: "https://x", vertex_credentials: { a: secret }, url: `https://u:${secret}@x/` }),
        Buffer.from(secret),
      ];
      const insert = "insert into audited.thing (doc, free, sealed_box, a, b) values (?::jsonb, ?::jsonb, ?, '7', '')";
      const [made] = await entriesOf(sql(insert, ...row("canary-one")));
      const update = "update audited.thing set doc = ?::jsonb, free = ?::jsonb, sealed_box = ? where a = '7'";
      const [changed] = await entriesOf(sql(update, ...row("canary-two")));
      const same = await entriesOf(sql(`${update.replace(" where", ", name = 'n' where")}`, ...row("canary-two")));
      const all = JSON.stringify([made, changed, same], (_, value) => (typeof value === "bigint" ? "" : value));
      assert.doesNotMatch(all, /canary|1234"/);
      assert.doesNotMatch(all, new RegExp(Buffer.from("canary-one").toString("hex")));
      const shown = {
        ...{ api_key: "****", max_tokens: 5, note: "harmless", reference_token: "os.environ/NAME", pasted: "****" },
        logging: [{ callback_name: "langfuse", callback_vars: "****" }],
        deep: [{ headers: [{ Authorization: "****" }, { x: "****" }] }],
        numbers: { pin_secret: "****" },
      };
      assert.deepEqual(made?.after?.doc, { keyAlias: "a", metadata: shown });
      assert.deepEqual(made?.after?.free, { api_base: "https://x", vertex_credentials: "****", url: "****" });
      assert.equal(made?.after?.sealed_box, "sealed");
      assert.equal(changed?.before?.sealed_box, "sealed");
      assert.equal(changed?.after?.sealed_box, "sealed (changed)");
      assert.match(JSON.stringify(changed?.after?.doc), /"api_key":"\*{4} \(changed\)"/);
      assert.equal(same[0]?.after?.sealed_box, "sealed");
      assert.doesNotMatch(JSON.stringify(same[0]?.after), /changed\)/);
    });

    test("metadata that PostgreSQL cannot keep as JSON stops no change", async () => {
      for (const [index, text] of ['{"a":"\\u0000canary"}', '{"n":1e999999}', "no json canary", ""].entries()) {
        const doc = JSON.stringify({ metadata: Buffer.from(text).toString("base64") });
        const insert = "insert into audited.thing (a, b, doc) values ('8', ?, ?::jsonb)";
        const [entry] = await entriesOf(sql(insert, String(index), doc));
        assert.deepEqual(entry?.after?.doc, { metadata: "not readable" }, text);
      }
    });

    test("a change without a row is appended", async () => {
      const append = (em: SqlEntityManager) =>
        appendEntry(em, { table: "x.y", objectId: "z", action: "done", before: { what: "was?" }, after: { n: 1 } });
      const [entry] = await entriesOf(append, { userId: "u" });
      assert.deepEqual(
        [entry?.tableName, entry?.objectId, entry?.action, entry?.before, entry?.after, entry?.changedBy],
        ["x.y", "z", "done", { what: "was?" }, { n: 1 }, "u"],
      );
    });

    test("a bulk load leaves one entry for each table, with the count and a digest", async () => {
      const load = (values: string) => async (em: SqlEntityManager) => {
        await em.execute("select set_config('sluice.audit_batch', 'the import', true)");
        await em.execute(`insert into audited.thing (a, b) select ${values}, n::text from generate_series(1, 500) n`);
        await em.execute("delete from audited.thing where b = '500' and a like 'bulk%'");
      };
      const [entry, ...more] = await entriesOf(load("'bulk'"));
      assert.deepEqual(more, []);
      assert.deepEqual(
        [entry?.tableName, entry?.objectId, entry?.action, entry?.after?.rows],
        ["audited.thing", "the import", "loaded", 501],
      );
      const [other] = await entriesOf(load("'bulk2'"));
      assert.notEqual(other?.after?.sha256, entry?.after?.sha256);
      const [normal] = await entriesOf(sql("insert into audited.thing (a, b) values ('9', '')"));
      assert.equal(normal?.action, "created", "the next transaction is no load");
    });

    test("fifty changes at once make one chain", async () => {
      const [{ seq } = { seq: "0" }] = await database.em().execute<{ seq: string }[]>("select seq from audit.head");
      const work = Array.from({ length: 50 }, (_, n) =>
        database.transaction(async (em) => {
          await setActor(em, create(AdminCallerSchema, { userId: `user-${n}` }));
          await em.execute("insert into audited.thing (a, b) values ('many', ?)", [String(n)]);
          await em.execute("update audited.thing set name = 'x' where a = 'many' and b = ?", [String(n)]);
        }),
      );
      await Promise.all(work);
      const entries = await database.em().find(AuditEntry, { seq: { $gt: BigInt(seq) } }, { orderBy: { seq: "asc" } });
      assert.equal(entries.length, 100);
      for (const [at, entry] of entries.entries()) {
        assert.equal(BigInt(entry.seq), BigInt(seq) + BigInt(at) + 1n);
        const prior = entries[at - 1];
        if (prior !== undefined) assert.deepEqual(Buffer.from(entry.prevHash), Buffer.from(prior.hash));
        assert.equal(entry.changedBy, `user-${entry.objectId.split("/")[1]}`);
      }
      const [head] = await database.em().execute<{ seq: string }[]>("select seq from audit.head");
      assert.equal(head?.seq, String(entries.at(-1)?.seq));
    });

    test("the log is append-only to whoever does not mean harm", async () => {
      const slips = [
        "update audit.log set changed_by = 'x'",
        "delete from audit.log",
        "truncate audit.log",
        "delete from audit.head",
        "truncate audit.head",
        "update audit.anchor set seq = 1",
      ];
      for (const slip of slips) {
        if (slip.includes("anchor")) {
          await database
            .em()
            .execute("insert into audit.anchor values (1, 'anchor', '', now(), '') on conflict do nothing");
        }
        await assert.rejects(database.em().execute(slip), /append-only/, slip);
      }
    });
  });
}
