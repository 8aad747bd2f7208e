import assert from "node:assert/strict";
import { fsyncSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { PGlite } from "@electric-sql/pglite";
import { openDatabase } from "#chassis/database/database.ts";
import { startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import { SyncedFiles, syncedParams, syncTree } from "#chassis/database/synced-files.ts";
import { createLogger } from "#chassis/log.ts";
import { copyTestDataDir } from "#chassis/testing/embedded.ts";

const dataDir = await copyTestDataDir();
after(() => rm(dataDir, { recursive: true, force: true }));

test("a commit is on the disk when it is acknowledged, a question asks for nothing", async () => {
  const files = join(dataDir, "postgres");
  let synced = 0;
  const sync = (descriptor: number) => {
    synced += 1;
    fsyncSync(descriptor);
  };
  const startParams = [...PGlite.defaultStartParams, ...syncedParams];
  const database = await PGlite.create({ fs: new SyncedFiles(files, sync), startParams });
  await database.exec("create table synced (id int)");
  for (const id of [1, 2, 3]) {
    const before = synced;
    await database.query("insert into synced values ($1)", [id]);
    assert.ok(synced > before);
  }
  const before = synced;
  await database.query("select * from synced");
  assert.equal(synced, before);
  await database.close();
  syncTree(files);
});

test("the embedded database is started so", async () => {
  const log = createLogger("error");
  for (const fsync of [true, false]) {
    const embedded = await startEmbeddedPostgres({ dataDir, log, fsync });
    const database = await openDatabase({
      url: embedded.url,
      schema: "synced_test",
      entities: [],
      migrations: [],
      connectTimeoutMs: 60_000,
      log,
    });
    const [row] = await database.em().execute("show fsync");
    assert.deepEqual(row, { fsync: fsync ? "on" : "off" });
    await database.close();
    await embedded.close();
  }
});
