import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { defineEntity, p } from "@mikro-orm/core";
import { Migration } from "@mikro-orm/migrations";
import { type DatabaseOptions, databaseError, isUniqueViolation, openDatabase } from "#chassis/database/database.ts";
import { findGatewayError } from "#chassis/errors.ts";
import { createLogger } from "#chassis/log.ts";
import { Secret } from "#chassis/secret.ts";
import { startTestPostgres } from "#chassis/testing/postgres.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

const Item = defineEntity({
  name: "Item",
  tableName: "item",
  properties: { id: p.integer().primary(), label: p.string().unique(), amount: p.bigint() },
});

class CreateItem extends Migration {
  override up(): void {
    this.addSql(`create table "box"."item" ("id" serial primary key, "label" text not null, "amount" bigint not null)`);
    this.addSql(`alter table "box"."item" add constraint "item_label" unique ("label")`);
  }
}

class AddNote extends Migration {
  override up(): void {
    this.addSql(`alter table "box"."item" add column "note" text null`);
  }
}

const migrations = [
  { name: "0001-create-item", class: CreateItem },
  { name: "0002-add-note", class: AddNote },
];

const postgres = await startTestPostgres();
const withPostgres = { skip: postgres === undefined ? "no PostgreSQL on this machine" : false };
after(() => postgres?.stop());

function open(changes: Partial<DatabaseOptions> = {}) {
  return openDatabase({
    url: postgres?.url ?? new Secret(""),
    schema: "box",
    entities: [Item],
    migrations,
    log: createLogger("error"),
    ...changes,
  });
}

test("migrations apply once, also when several processes start together", withPostgres, async () => {
  const first = await open({ migrations: migrations.slice(0, 1) });
  await first.close();
  const all = await Promise.all(Array.from({ length: 4 }, () => open()));
  const [one] = all;
  assert.ok(one);
  const names = await one.em().execute(`select name from "box"."migration" order by id`);
  assert.deepEqual(names, [{ name: "0001-create-item" }, { name: "0002-add-note" }]);
  await Promise.all(all.map((database) => database.close()));
});

test("a transaction commits as a whole or not at all", withPostgres, async () => {
  const database = await open();
  await database.transaction(async (em) => {
    em.create(Item, { id: 1, label: "one", amount: 9_000_000_000_000_000_001n });
    await em.flush();
  });
  const failed = database.transaction(async (em) => {
    em.create(Item, { id: 2, label: "two", amount: 1n });
    await em.flush();
    em.create(Item, { id: 3, label: "one", amount: 1n });
  });
  await assert.rejects(failed, (error) => isUniqueViolation(error, "item_label") && !isUniqueViolation(error, "other"));
  const rows = await database.em().findAll(Item);
  assert.deepEqual(
    rows.map(({ id, amount }) => [id, amount]),
    [[1, 9_000_000_000_000_000_001n]],
  );
  await database.close();
});

test("a statement that takes too long is UNAVAILABLE and costs nobody else", withPostgres, async () => {
  // The statements that open the database have no more time either, on a busy machine.
  const database = await open({ statementTimeoutMs: 1500, poolSize: 1 });
  await assertUnavailable(database.em().execute("select pg_sleep(60)"));
  assert.equal(await database.ping(), true);
  await database.close();
});

test(
  "a server that hangs is UNAVAILABLE in bounded time, and the database recovers by itself",
  withPostgres,
  async () => {
    assert.ok(postgres);
    const database = await open({ statementTimeoutMs: 1500, connectTimeoutMs: 1500, poolSize: 2 });
    assert.equal(await database.ping(), true);
    await postgres.pause();
    assert.equal(await database.ping(), false);
    await assertUnavailable(database.transaction((em) => em.execute("select 1")));
    await postgres.resume();
    assert.equal(await until(() => database.ping()), true);
    await database.transaction(async (em) => {
      const [row] = await em.execute("select count(*)::int as n from box.item");
      assert.deepEqual(row, { n: 1 });
    });
    await database.close();
  },
);

test(
  "a watched server may be slow, and is UNAVAILABLE within three seconds where it is frozen",
  withPostgres,
  async () => {
    assert.ok(postgres);
    const database = await open({ watched: true, poolSize: 2 });
    const sleepers = [0, 1, 2].map(() => database.em().execute("select pg_sleep(1.5)"));
    await Promise.all(sleepers);
    await postgres.pause();
    const began = performance.now();
    const waiting = [
      // On connections that are open, on a new one, and for a free one.
      ...[0, 1, 2, 3].map(() => database.em().execute("select 1")),
      database.transaction((em) => em.execute("select 1")),
    ];
    for (const each of waiting) await assertUnavailable(each);
    const first = performance.now();
    // Three seconds, and as much again for a busy machine; a connection alone would be waited for longer.
    assert.ok(first - began < 6000, `${first - began} ms`);
    await assertUnavailable(database.em().execute("select 1"));
    assert.ok(performance.now() - first < 2500, "nobody waits again for a server that is known to be silent");
    await postgres.resume();
    assert.equal(await until(() => database.ping()), true);
    assert.deepEqual(await database.em().execute("select 1 as one"), [{ one: 1 }]);
    await database.close();
  },
);

test("a server that goes down is UNAVAILABLE until it is back", withPostgres, async () => {
  assert.ok(postgres);
  const database = await open();
  assert.equal(await database.ping(), true);
  await postgres.down();
  assert.equal(await database.ping(), false);
  await assertUnavailable(database.em().execute("select 1"));
  await postgres.restart();
  assert.equal(await until(() => database.ping()), true);
  await database.close();
});

test("an address that nobody answers fails at once and does not show the password", async () => {
  const url = new Secret("postgresql://user:hunter2@127.0.0.1:1/db");
  await assert.rejects(open({ url }), (error: Error) => !String(error).includes("hunter2"));
  await assert.rejects(open({ url: new Secret("mysql://hunter2@x/db") }), (error: Error) => {
    return error.message.includes("postgresql://") && !error.message.includes("hunter2");
  });
});

test("errors are sorted into unavailable and internal", () => {
  const cases: [unknown, Code][] = [
    [Object.assign(new Error("x"), { code: "53300" }), Code.Unavailable],
    [Object.assign(new Error("x"), { code: "57P01" }), Code.Unavailable],
    [Object.assign(new Error("x"), { code: "25006" }), Code.Unavailable],
    [Object.assign(new Error("x"), { code: "40P01" }), Code.Unavailable],
    [Object.assign(new Error("x"), { code: "ECONNRESET" }), Code.Unavailable],
    [new Error("wrapped", { cause: new Error("Connection terminated unexpectedly") }), Code.Unavailable],
    [Object.assign(new Error("x"), { code: "23505" }), Code.Internal],
    [Object.assign(new Error("x"), { code: "42P01" }), Code.Internal],
    [new TypeError("a mistake of ours"), Code.Internal],
    ["a string", Code.Internal],
    [new ConnectError("kept", Code.NotFound), Code.NotFound],
  ];
  for (const [error, code] of cases) assert.equal(databaseError(error).code, code, String(error));
});

async function assertUnavailable(work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => assert.fail("it should fail"),
    (reason: unknown) => databaseError(reason),
  );
  assert.equal(error.code, Code.Unavailable, String(error.cause));
  assert.equal(findGatewayError(error)?.reason, Reason.UNAVAILABLE);
}

async function until(check: () => Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < 50; tries += 1) {
    if (await check()) return true;
    await sleep(100);
  }
  return false;
}
