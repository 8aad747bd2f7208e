import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import { readEmbeddedContents } from "#chassis/database/embedded-contents.ts";
import { copyEmbedded } from "#chassis/database/embedded-copy.ts";
import { createLogger } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";
import { startTestEmbedded } from "#chassis/testing/embedded.ts";

const log = createLogger("error");
const embedded = await startTestEmbedded();
const copies = await mkdtemp(join(tmpdir(), "sluice-copies-"));
after(async () => {
  await embedded.stop();
  await rm(copies, { recursive: true });
});

function open(url: Secret): Promise<Database> {
  return openDatabase({ url, schema: "copied", entities: [], migrations: [], connectTimeoutMs: 60_000, log });
}

/** Two rows in two tables in one transaction, and now and then a table that comes and one that goes, until it is stopped. */
function startWriter(database: Database) {
  const state = { stopped: false, committed: 0 };
  const done = (async () => {
    for (let id = 1; !state.stopped; id += 1) {
      await database.transaction(async (em) => {
        await em.execute("insert into copied.one values (?, repeat('x', 3000))", [id]);
        await em.execute("insert into copied.two values (?)", [id]);
        if (id % 7 === 0) await em.execute(`create table copied.extra_${id} as select 1`);
        if (id % 7 === 5 && id > 7) await em.execute(`drop table copied.extra_${id - 5}`);
      });
      state.committed = id;
    }
  })();
  return {
    committed: () => state.committed,
    stop: () => {
      state.stopped = true;
      return done;
    },
  };
}

async function counts(database: Database): Promise<{ one: number; two: number }> {
  const [row] = await database
    .em()
    .execute<[{ one: number; two: number }]>(
      "select (select count(*)::int from copied.one) as one, (select count(*)::int from copied.two) as two",
    );
  return row;
}

test("a copy made under writes holds every transaction that was committed before it, and whole ones only", async () => {
  const database = await open(embedded.url);
  await database.em().execute("create table copied.one (id int primary key, filler text)");
  await database.em().execute("create table copied.two (id int primary key)");
  const writer = startWriter(database);
  const from = join(embedded.dataDir, "postgres");
  for (let round = 0; round < 4; round += 1) {
    const dataDir = join(copies, String(round));
    const before = writer.committed();
    const { nextTransaction } = await copyEmbedded({ from, to: join(dataDir, "postgres"), url: embedded.url, log });
    const after = writer.committed() + 1;
    const contents = await readEmbeddedContents(dataDir, log);
    assert.ok(contents.nextTransaction >= nextTransaction, `${contents.nextTransaction} < ${nextTransaction}`);
    const copy = await startEmbeddedPostgres({ dataDir, log });
    const reader = await open(copy.url);
    const { one, two } = await counts(reader);
    assert.equal(one, two);
    assert.ok(before <= one && one <= after, `${one} is not between ${before} and ${after}`);
    await reader.close();
    await copy.close();
  }
  await writer.stop();
  await database.close();
});

test("a copy of a database that goes down meanwhile fails", async () => {
  const from = join(embedded.dataDir, "postgres");
  const copying = copyEmbedded({ from, to: join(copies, "down"), url: embedded.url, log });
  await Promise.all([assert.rejects(copying), embedded.restart()]);
});

test("a database that is closed is copied as it is, and a table that cannot be read is an error", async () => {
  const to = join(copies, "closed/postgres");
  await copyEmbedded({ from: join(copies, "0/postgres"), to, url: undefined, log });
  const { schemas } = await readEmbeddedContents(join(copies, "closed"), log);
  assert.ok((schemas.find(({ name }) => name === "copied")?.rows ?? 0) > 0);
  const copy = await startEmbeddedPostgres({ dataDir: join(copies, "closed"), log });
  const reader = await open(copy.url);
  const [row] = await reader.em().execute<[{ file: string }]>("select pg_relation_filepath('copied.one') as file");
  await reader.close();
  await copy.close();
  const file = join(to, row.file);
  await writeFile(file, Buffer.alloc(8192, 0x55), { flag: "r+" });
  assert.ok((await stat(file)).size > 0);
  await assert.rejects(readEmbeddedContents(join(copies, "closed"), log));
});
