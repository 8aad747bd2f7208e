import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { insertLedgers, lockLedgers, readLedgers, writeLedgers } from "./db/quota-rows.ts";
import { accountingSchema } from "./db/schema.ts";
import { type ImportedSpend, importSpend } from "./import-spend.ts";
import { ledgerAt } from "./ledger.ts";
import { utc } from "./time-zone.ts";

const dayMs = 86_400_000;
const noon = Date.UTC(2026, 0, 14, 12);
const databases = await startTestDatabases();
after(() => databases.stop());

for (const { name, url } of databases.all) {
  describe(`spend from another gateway, ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await openDatabase({ url, ...accountingSchema, log: createLogger("error", () => undefined) });
    });
    after(() => database.close());

    const spend = (scope: string, spent: bigint, duration = "", endMs?: number): ImportedSpend => ({
      scope,
      spentNanoUsd: spent,
      budgetDuration: duration,
      windowEndMs: endMs,
    });
    async function take(spends: ImportedSpend[], nowMs = noon, dryRun = false): Promise<string[]> {
      return [...(await importSpend({ database, nowMs, zone: utc }, spends, dryRun))];
    }
    async function ledger(scope: string, nowMs = noon) {
      const row = (await readLedgers(database.em(), [scope])).get(scope);
      return row && ledgerAt(row, nowMs, utc);
    }
    /** What calls through this gateway cost. */
    async function charge(scope: string, amount: bigint, nowMs = noon): Promise<void> {
      await database.transaction(async (em) => {
        await insertLedgers(em, [scope]);
        const row = (await lockLedgers(em, [scope])).get(scope);
        assert.ok(row !== undefined);
        const now = ledgerAt(row, nowMs, utc);
        await writeLedgers(em, new Map([[scope, { ...now, spent: now.spent + amount }]]));
      });
    }

    test("a new scope goes on where it was, and resets when it would have", async () => {
      const end = Date.UTC(2026, 0, 19);
      assert.deepEqual(await take([spend("key:a", 7n, "7d", end)], noon, true), ["key:a"]);
      assert.equal(await ledger("key:a"), undefined, "a dry run writes nothing");
      assert.deepEqual(await take([spend("key:a", 7n, "7d", end)]), ["key:a"]);
      assert.partialDeepStrictEqual(await ledger("key:a"), { spent: 7n, duration: "7d" });
      assert.equal((await ledger("key:a"))?.window.endMs, end);
      assert.equal((await ledger("key:a", end))?.spent, 0n);
    });

    test("the same again adds nothing, a higher total the difference, whatever is spent here", async () => {
      await take([spend("key:b", 100n)]);
      assert.deepEqual(await take([spend("key:b", 100n)]), []);
      await charge("key:b", 5n);
      assert.deepEqual(await take([spend("key:b", 130n)]), ["key:b"]);
      assert.equal((await ledger("key:b"))?.spent, 135n);
      await take([spend("key:b", 0n)]);
      assert.equal((await ledger("key:b"))?.spent, 5n, "a reset there is one here");
    });

    test("a window that is over counts for nothing, and its successor from the start", async () => {
      const end = noon + dayMs;
      await take([spend("key:c", 50n, "1d", noon - 1)]);
      assert.equal((await ledger("key:c"))?.spent, 0n);
      await take([spend("key:d", 50n, "7d", end)]);
      await charge("key:d", 3n, end + 1);
      await take([spend("key:d", 20n, "7d", end + 7 * dayMs)], end + 2);
      assert.equal((await ledger("key:d", end + 2))?.spent, 23n);
    });

    test("where only our window has ended, what was taken before is over", async () => {
      await take([spend("key:g", 100n, "30d")]);
      await database.transaction(async (em) => {
        const window = { startMs: noon + 1, endMs: noon + dayMs };
        await writeLedgers(em, new Map([["key:g", { spent: 5n, duration: "1d", window }]]));
      });
      await take([spend("key:g", 130n, "30d")], noon + 2);
      assert.equal((await ledger("key:g", noon + 2))?.spent, 35n);
    });

    test("what was spent here before the first import stays", async () => {
      await charge("key:e", 11n);
      await take([spend("key:e", 4n, "30d", Date.UTC(2026, 1, 1))]);
      assert.partialDeepStrictEqual(await ledger("key:e"), { spent: 15n, duration: "30d" });
    });

    test("nothing spent and no window leaves no trace", async () => {
      assert.deepEqual(await take([spend("key:f", 0n)]), []);
      assert.equal(await ledger("key:f"), undefined);
    });
  });
}
