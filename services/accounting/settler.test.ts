import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { connectDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { Secret } from "#chassis/secret.ts";
import { UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { createPartitions } from "./db/partitions.ts";
import { accountingSchema } from "./db/schema.ts";
import { createSpendContexts } from "./db/spend-contexts.ts";
import { SettlementThread } from "./settlement-thread.ts";
import { Settler } from "./settler.ts";
import { type Backend, spendOf, startAccounting, startBackends, usage } from "./testing/accounting-fixture.ts";
import { utc } from "./time-zone.ts";

const backends = await startBackends();
after(() => Promise.all(backends.map((backend) => backend.stop())));

const log = createLogger("error", () => {});
const now = Date.now();

function batch(from: number, count: number, scope: string): Uint8Array[] {
  return Array.from({ length: count }, (_, n) => toBinary(UsageRecordedSchema, usage(from + n, now, scope, 2n)));
}

for (const backend of backends) {
  describe(`the settlement thread on ${backend.name}`, async () => {
    const accounting = await startAccounting(backend.url, { now });
    after(() => accounting.close());
    const thread = threadDatabase(backend);

    test("says what it has settled, and settles again what it is given again to nobody's harm", async () => {
      const settling = await SettlementThread.start(thread, utc);
      const records = [...batch(1, 600, "key:thread"), Uint8Array.of(0xff)];
      const first = await settling.settle(records);
      assert.deepEqual([first.inserted, first.repeated, first.rejected.length], [600, 0, 1]);
      assert.deepEqual([...first.scopes], ["key:thread"]);
      const again = await settling.settle(records);
      assert.deepEqual([again.inserted, again.repeated, again.scopes.size], [0, 600, 0]);
      assert.equal((await spendOf(accounting, "key:thread")).spent, 1200n);
      await settling.close();
      assert.equal(settling.alive, false);
    });

    test("finishes what it has when it is told to end", async () => {
      const settling = await SettlementThread.start(thread, utc);
      const settled = [settling.settle(batch(2000, 100, "key:end")), settling.settle(batch(2100, 100, "key:end"))];
      await settling.close();
      assert.deepEqual(
        (await Promise.all(settled)).map(({ inserted }) => inserted),
        [100, 100],
      );
      assert.equal((await spendOf(accounting, "key:end")).spent, 400n);
    });

    test("is begun by a large batch, which does not wait for it, and takes the later ones", async () => {
      const database = await connectDatabase({ ...accountingSchema, url: backend.url, log });
      const [partitions, contexts] = [createPartitions(database), createSpendContexts(database, Date.now)];
      const context = { database, partitions, contexts, clock: Date.now, timeZone: utc };
      const settler = new Settler(context, thread, log);
      assert.equal((await settler.settle(batch(3000, 10, "key:settler"))).inserted, 10);
      assert.equal(settler.threaded, false);
      assert.equal((await settler.settle(batch(3010, 60, "key:settler"))).inserted, 60);
      const deadline = Date.now() + 20_000;
      while (!settler.threaded && Date.now() < deadline) await sleep(20);
      assert.equal(settler.threaded, true);
      // What this thread would need is gone: only the other one can settle now.
      await database.close();
      assert.equal((await settler.settle(batch(3070, 5, "key:settler"))).inserted, 5);
      await settler.close();
      await assert.rejects(settler.settle(batch(3075, 5, "key:settler")));
      assert.equal((await spendOf(accounting, "key:settler")).spent, 150n);
    });
  });
}

test("a thread that cannot reach the database rejects its batches, and one that dies rejects what it had", async () => {
  const [backend] = backends;
  assert.ok(backend);
  const gone = new URL("postgresql://postgres@127.0.0.1:1/postgres");
  const lost = await SettlementThread.start({ ...threadDatabase(backend), url: new Secret(gone.href) }, utc);
  await assert.rejects(lost.settle(batch(1, 1, "key:lost")));
  assert.equal(lost.alive, true);
  await lost.close();
  const dying = await SettlementThread.start(threadDatabase(backend), utc);
  const cut = assert.rejects(dying.settle(batch(4000, 500, "key:dying")), /ended/);
  await dying.terminate();
  await cut;
  assert.equal(dying.alive, false);
});

function threadDatabase({ url }: Backend) {
  return { url, watched: false, logLevel: "error" } as const;
}
