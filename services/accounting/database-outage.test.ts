import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { watchDatabase } from "./database-outage.ts";
import { lease, noon, refused, startAccounting, startBackends } from "./testing/accounting-fixture.ts";

const backends = await startBackends();
after(() => Promise.all(backends.map((backend) => backend.stop())));

for (const { name, url } of backends) {
  test(`what was leased before an outage counts after it, until its owner can have settled it (${name})`, async () => {
    const accounting = await startAccounting(url, { now: noon });
    const { database, time } = accounting;
    const leaseTtlMs = 30_000;
    const up = { up: true };
    const outage = watchDatabase({
      database: { em: () => database.em(), ping: async () => up.up },
      clock: () => time.now,
      leaseTtlMs,
      pulseMs: 5,
    });
    const budget = { scope: `key:outage ${name}`, maxBudgetNanoUsd: 100n };
    await lease(accounting, "o1", budget, { nanoUsd: 80n });

    up.up = false;
    await sleep(50);
    time.now += 2 * leaseTtlMs;
    up.up = true;
    await outage.recover();
    await refused(accounting, "o2", budget, { nanoUsd: 50n });
    // Once is enough: an owner that died does not hold its money for ever.
    time.now += leaseTtlMs + 1;
    await outage.recover();
    await lease(accounting, "o2", budget, { nanoUsd: 50n });
    outage.stop();
    await accounting.close();
  });
}
