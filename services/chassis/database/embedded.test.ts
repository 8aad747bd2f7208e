import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { databaseError, openDatabase } from "#chassis/database/database.ts";
import { startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import { createLogger } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";
import { copyTestDataDir, startTestEmbedded } from "#chassis/testing/embedded.ts";

const log = createLogger("error");
const embedded = await startTestEmbedded();
after(() => embedded.stop());

function open(url: Secret, schema: string) {
  return openDatabase({ url, schema, entities: [], migrations: [], connectTimeoutMs: 60_000, log });
}

test("two services with pools of their own run 200 transactions at the same time", async () => {
  const services = await Promise.all([open(embedded.url, "one"), open(embedded.url, "two")]);
  const [one] = services;
  await one.em().execute("create table one.row (id int primary key, changed boolean not null default false)");
  const outcomes = await Promise.allSettled(
    Array.from({ length: 200 }, (_, id) =>
      services[id % 2 === 0 ? 0 : 1].transaction(async (em) => {
        await em.execute("insert into one.row (id) values (?)", [id]);
        if (id % 10 === 0) await em.execute("select 1 / 0");
        await em.execute("update one.row set changed = true where id = ?", [id]);
      }),
    ),
  );
  assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 20);
  const [row] = await one.em().execute("select count(*)::int as n from one.row where changed and id % 10 <> 0");
  assert.deepEqual(row, { n: 180 });
  await Promise.all(services.map((service) => service.close()));
});

test("what was written is there after a restart, and closing leaves no socket behind", async () => {
  const before = await open(embedded.url, "three");
  await before.em().execute("create table three.kept as select 42 as n");
  await before.close();
  await embedded.restart();
  const again = await open(embedded.url, "three");
  assert.deepEqual(await again.em().execute("select n from three.kept"), [{ n: 42 }]);
  await again.close();
});

test("users whose connections are cut recover when the database is back", async () => {
  const user = await open(embedded.url, "four");
  await embedded.restart();
  await user.ping();
  assert.equal(await user.ping(), true);
  await user.close();
});

test("a statement that never ends costs a restart, and nothing that was committed", async () => {
  const dataDir = await copyTestDataDir();
  const running = await startEmbeddedPostgres({ dataDir, hangTimeoutMs: 5000, log: createLogger("error", () => {}) });
  const user = await open(running.url, "hung");
  await user.em().execute("create table hung.kept as select 7 as n");
  const endless = user.em().execute("select count(*) from generate_series(1, 1000000000000)");
  await assert.rejects(endless, (error) => databaseError(error).code === Code.Unavailable);
  for (let tries = 0; tries < 50 && !(await user.ping()); tries += 1) await sleep(100);
  assert.deepEqual(await user.em().execute("select n from hung.kept"), [{ n: 7 }]);
  await user.close();
  await running.close();
  await rm(dataDir, { recursive: true });
});

test("a data directory with a long path gets its socket elsewhere", async () => {
  const dataDir = await copyTestDataDir();
  const long = join(dataDir, "a".repeat(80));
  await mkdir(long);
  await rename(join(dataDir, "postgres"), join(long, "postgres"));
  const running = await startEmbeddedPostgres({ dataDir: long, log });
  const socketDir = URL.parse(running.url.reveal())?.searchParams.get("host") ?? "";
  assert.ok(!socketDir.startsWith(dataDir) && existsSync(socketDir));
  const user = await open(running.url, "five");
  assert.equal(await user.ping(), true);
  await user.close();
  await running.close();
  assert.ok(!existsSync(socketDir));
  await rm(dataDir, { recursive: true });
});

test("no acknowledged row is lost when the process is killed", async () => {
  const dataDir = await copyTestDataDir();
  const child = spawn(process.execPath, ["--input-type=module", "-e", writerScript(dataDir)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let acknowledged = 0;
  createInterface({ input: child.stdout }).on("line", (line) => {
    acknowledged = Number(line);
    if (acknowledged === 150) child.kill("SIGKILL");
  });
  await once(child, "close");
  assert.ok(acknowledged >= 150);
  const running = await startEmbeddedPostgres({ dataDir, log });
  const user = await open(running.url, "killed");
  const [row] = await user.em().execute("select count(*)::int as n from killed.row where id <= ?", [acknowledged]);
  assert.deepEqual(row, { n: acknowledged });
  await user.close();
  await running.close();
  assert.ok(!existsSync(join(dataDir, "run")));
  await rm(dataDir, { recursive: true });
});

function writerScript(dataDir: string): string {
  return `
    import { startEmbeddedPostgres } from "#chassis/database/embedded.ts";
    import { databaseError, openDatabase } from "#chassis/database/database.ts";
    import { createLogger } from "#chassis/log.ts";
    const log = createLogger("error");
    const { url } = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, log });
    const database = await openDatabase({ url, schema: "killed", entities: [], migrations: [], log });
    await database.em().execute("create table killed.row (id int primary key)");
    for (let id = 1; ; id += 1) {
      await database.em().execute("insert into killed.row (id) values (?)", [id]);
      console.log(id);
    }`;
}
