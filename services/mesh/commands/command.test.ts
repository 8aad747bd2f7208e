import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, test } from "node:test";
import { openDataDir } from "#chassis/data-dir.ts";
import { startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { createLogger } from "#chassis/log.ts";
import { copyTestDataDir } from "#chassis/testing/embedded.ts";
import { withStoredData } from "./command.ts";

const schema = { schema: "kept", entities: [], migrations: [] };
const log = createLogger("error");
const dirs: string[] = [];
after(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true, force: true }))));

async function dataDir(): Promise<string> {
  const dir = await copyTestDataDir();
  dirs.push(dir);
  return dir;
}

function count(dir: string): Promise<unknown> {
  return withStoredData({ SLUICE_DATA_DIR: dir }, async ({ state }) => {
    const database = await state.database(schema);
    await database.em().execute("create table if not exists kept.row (id int)");
    await database.em().execute("insert into kept.row values (1)");
    const [row] = await database.em().execute("select count(*)::int as n from kept.row");
    return row;
  });
}

test("a command opens the embedded database, or reaches it in the process that has it open", async () => {
  const dir = await dataDir();
  assert.deepEqual(await count(dir), { n: 1 });
  const held = await openDataDir(dir);
  const running = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.deepEqual(await count(dir), { n: 2 });
  assert.deepEqual(await count(dir), { n: 3 }, "closing the command left the database alone");
  await running.close();
  held.close();
  assert.deepEqual(await count(dir), { n: 4 });
});

test("a data directory that is in use without a database is a clear complaint", async () => {
  const dir = await dataDir();
  const held = await openDataDir(dir);
  await assert.rejects(
    count(dir),
    (error) => error instanceof ConfigurationError && /another Sluice process/.test(error.message),
  );
  held.close();
});
