import assert from "node:assert/strict";
import { after, beforeEach, describe, test } from "node:test";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { anchorHead, trimLog } from "#chassis/audit/anchor.ts";
import { appendEntry } from "#chassis/audit/append-entry.ts";
import { entryEncoding } from "#chassis/audit/encoding.ts";
import { verifyLog } from "#chassis/audit/verify-log.ts";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { createSealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { startTestDatabases, type TestDatabases } from "#chassis/testing/databases.ts";

const log = createLogger("error", () => undefined);
const sealer = createSealer(new Secret("salt"));
const schema = { schema: "nothing", audited: true, entities: [], migrations: [] };
const databases: TestDatabases = await startTestDatabases();
const opened = await Promise.all(databases.all.map(({ url }) => openDatabase({ url, ...schema, log })));
after(async () => {
  await Promise.all(opened.map((database) => database.close()));
  await databases.stop();
});

for (const [at, { name }] of databases.all.entries()) {
  describe(`checking the audit on ${name}`, () => {
    const database = opened[at] as Database;

    /** Ten entries; the fifth, the eighth and the last are anchored. */
    beforeEach(async () => {
      await tamper(
        "delete from audit.log",
        "delete from audit.anchor",
        `update audit.head set seq = 0, hash = '\\x${"0".repeat(64)}'`,
      );
      for (let n = 1; n <= 10; n += 1) {
        await append(n);
        if (n === 5 || n === 8 || n === 10) await anchorHead(database, sealer);
      }
    });

    function append(n: number): Promise<void> {
      return database.transaction((em) =>
        appendEntry(em, { table: "x.y", objectId: `object ${n}`, action: "updated", after: { n, text: "ä\u2028\"'" } }),
      );
    }

    /** What somebody may do who is the owner of the database. */
    function tamper(...statements: readonly string[]): Promise<void> {
      return database.transaction(async (em: SqlEntityManager) => {
        for (const table of ["log", "anchor", "head"])
          await em.execute(`alter table audit.${table} disable trigger user`);
        for (const statement of statements) await em.execute(statement);
        for (const table of ["log", "anchor", "head"])
          await em.execute(`alter table audit.${table} enable trigger user`);
      });
    }

    test("a log that nobody touched is in order", async () => {
      const report = await verifyLog(database, sealer);
      assert.equal(report.fault, undefined);
      assert.deepEqual(
        [report.entries, report.first?.seq, report.last?.seq, report.anchors, report.anchoredTo, report.removedTo],
        [10, 1n, 10n, 3, 10n, 0n],
      );
      assert.ok((report.first?.at.getTime() ?? 0) > Date.now() - 600_000);
      assert.equal(await anchorHead(database, sealer), undefined, "nothing new to anchor");
    });

    test("an empty log is in order", async () => {
      await tamper("delete from audit.log", "delete from audit.anchor", "update audit.head set seq = 0");
      await tamper(`update audit.head set hash = '\\x${"0".repeat(64)}'`);
      const report = await verifyLog(database, sealer);
      assert.deepEqual([report.fault, report.entries], [undefined, 0]);
    });

    const columns = {
      at: "at + interval '1 microsecond'",
      changed_by: "'x'",
      user_id: "'x'",
      key_id: "'x'",
      master: "not master",
      address: "address || ' '",
      operation: "'x'",
      table_name: "'x'",
      object_id: "'x'",
      action: "'x'",
      before: "'null'",
      after: `'{"n": 4}'`,
      prev_hash: "sha256(prev_hash)",
      hash: "sha256(hash)",
    };
    if (name === "PGlite") columns.at = "at + interval '1 millisecond'";

    test("an entry that was changed is found, whatever column it is", async () => {
      for (const [column, value] of Object.entries(columns)) {
        await tamper("create table kept as select * from audit.log where seq = 3");
        await tamper(`update audit.log set ${column} = ${value} where seq = 3`);
        const { fault } = await verifyLog(database, sealer);
        assert.equal(fault?.seq, 3n, `${column}: ${fault?.what}`);
        await tamper(
          "delete from audit.log where seq = 3",
          "insert into audit.log select * from kept",
          "drop table kept",
        );
      }
      assert.equal((await verifyLog(database, sealer)).fault, undefined, "all is as it was");
    });

    const rehash = `update audit.log as log set hash = sha256(convert_to(${entryEncoding("log")}, 'UTF8'))`;
    /** Rewrites the chain from an entry on, as somebody would who has read this code. */
    const rechain = (from: number) =>
      Array.from({ length: 11 - from }, (_, n) => from + n).flatMap((seq) => [
        ...(seq === 1
          ? []
          : [
              `update audit.log set prev_hash = (select hash from audit.log where seq = ${seq - 1}) where seq = ${seq}`,
            ]),
        `${rehash} where seq = ${seq}`,
      ]);
    const moveHead = "update audit.head set (seq, hash) = (select seq, hash from audit.log order by seq desc limit 1)";
    const kinds: [what: string, statements: string[], seq: bigint, said: RegExp][] = [
      ["a removed entry", ["delete from audit.log where seq = 4"], 4n, /missing: entry 5/],
      ["the first entry removed", ["delete from audit.log where seq = 1"], 1n, /missing/],
      ["the last one removed", ["delete from audit.log where seq = 10"], 9n, /head says .* entry 10/],
      [
        "the end removed and the head moved",
        ["delete from audit.log where seq > 8", moveHead],
        8n,
        /entry 10 was anchored/,
      ],
      [
        "two entries in each other's place",
        [
          "update audit.log set seq = 100 where seq = 3",
          "update audit.log set seq = 3 where seq = 4",
          "update audit.log set seq = 4 where seq = 100",
        ],
        3n,
        /does not follow entry 2/,
      ],
      [
        "a changed entry with a new hash",
        ["update audit.log set action = 'x' where seq = 3", `${rehash} where seq = 3`],
        4n,
        /does not follow/,
      ],
      [
        "a chain rewritten to its end",
        ["update audit.log set action = 'x' where seq = 2", ...rechain(2), moveHead],
        5n,
        /not the entry that was anchored/,
      ],
      [
        "the anchor's hash rewritten too",
        [
          "update audit.log set action = 'x' where seq = 2",
          ...rechain(2),
          moveHead,
          "update audit.anchor a set hash = (select hash from audit.log l where l.seq = a.seq)",
        ],
        5n,
        /anchor was changed/,
      ],
      ["an anchor removed", ["delete from audit.anchor where seq = 5"], 8n, /anchor before .* entry 5/],
      ["an anchor forged", ["update audit.anchor set sealed = sha256(sealed) where seq = 5"], 5n, /does not open/],
      [
        "an anchor of another place",
        ["update audit.anchor a set sealed = (select sealed from audit.anchor where seq = 8) where seq = 5"],
        5n,
        /anchor was changed/,
      ],
      [
        "a forged checkpoint",
        [
          "insert into audit.anchor select seq, 'checkpoint', hash, at, sealed from audit.anchor where seq = 5",
          "delete from audit.log where seq <= 5",
        ],
        5n,
        /anchor was changed/,
      ],
      ["the head removed", ["delete from audit.head"], 0n, /where the chain ends is missing/],
      [
        "all anchors removed",
        [
          "delete from audit.anchor",
          "update audit.log set at = at - interval '2 hours' where seq = 1",
          ...rechain(1),
          moveHead,
        ],
        10n,
        /no entry up to this one is anchored/,
      ],
    ];
    for (const [what, statements, seq, said] of kinds) {
      test(`found: ${what}`, async () => {
        await tamper(...statements);
        const { fault } = await verifyLog(database, sealer);
        assert.equal(fault?.seq, seq, fault?.what);
        assert.match(fault.what, said);
        if (what === "the head removed")
          await tamper(`insert into audit.head values (true, 0, '\\x${"0".repeat(64)}')`);
      });
    }

    test("under another key the anchors do not open", async () => {
      const { fault } = await verifyLog(database, createSealer(new Secret("another")));
      assert.match(fault?.what ?? "", /another salt or master key/);
    });

    test("what retention leaves can be checked, and what it did", async () => {
      await tamper(
        "update audit.log set at = at - interval '40 days' where seq <= 7",
        ...rechain(1),
        moveHead,
        "delete from audit.anchor",
      );
      const before = new Date(Date.now() - 30 * 86_400_000);
      assert.deepEqual(await trimLog(database, sealer, before, 4), { rows: 4, upTo: 4n });
      assert.deepEqual(await trimLog(database, sealer, before, 100), { rows: 3, upTo: 7n });
      assert.equal(await trimLog(database, sealer, before, 100), undefined);
      await anchorHead(database, sealer);
      await append(13);
      const report = await verifyLog(database, sealer);
      assert.equal(report.fault, undefined, report.fault?.what);
      assert.deepEqual([report.first?.seq, report.last?.seq, report.removedTo, report.entries], [8n, 13n, 7n, 6]);
      const done = await database
        .em()
        .execute("select object_id, before from audit.log where table_name = 'audit.log' order by seq");
      assert.deepEqual(done, [
        { object_id: "up to 4", before: { rows: 4 } },
        { object_id: "up to 7", before: { rows: 3 } },
      ]);
      await tamper("delete from audit.log where seq = 8");
      assert.equal((await verifyLog(database, sealer)).fault?.seq, 8n, "more than retention has removed");
    });

    test("everything may be removed by retention, and the chain goes on", async () => {
      await trimLog(database, sealer, new Date(Date.now() + 60_000), 100);
      const report = await verifyLog(database, sealer);
      assert.equal(report.fault, undefined, report.fault?.what);
      assert.deepEqual([report.first?.seq, report.removedTo], [11n, 10n]);
    });

    test("a log of several pages, with entries that come meanwhile", async () => {
      await database.transaction((em) =>
        em.execute("select audit.append('x.y', n::text, 'updated', null, null) from generate_series(1, 1000) n"),
      );
      const [report] = await Promise.all([verifyLog(database, sealer), append(1), append(2), append(3)]);
      assert.equal(report.fault, undefined, report.fault?.what);
      assert.ok(report.entries >= 1010, String(report.entries));
    });
  });
}
