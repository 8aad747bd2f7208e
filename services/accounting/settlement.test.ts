import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { SpendChangedSchema, type UsageRecorded, UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";
import {
  deliver,
  lease,
  noon,
  recordId,
  refused,
  seededRandom,
  spendOf,
  startAccounting,
  startBackends,
  usage,
} from "./testing/accounting-fixture.ts";

const backends = await startBackends();
after(() => Promise.all(backends.map((backend) => backend.stop())));

for (const backend of backends) {
  describe(`settlement on ${backend.name}`, async () => {
    const accounting = await startAccounting(backend.url);
    const replica = await startAccounting(backend.url, accounting.time);
    after(async () => {
      await accounting.close();
      await replica.close();
    });

    async function countRows(table: string, where = "true"): Promise<number> {
      const [row] = await accounting.database
        .em()
        .execute(`select count(*)::int as n from accounting.${table} where ${where}`);
      return Number(row?.n);
    }

    test("the same batch twice, overlapping, out of order and on two replicas is settled once", async () => {
      const scope = "key:once";
      const limits = { scope, maxBudgetNanoUsd: 1_000_000n };
      await lease(accounting, "owner", limits, { nanoUsd: 5000n });
      const events = Array.from({ length: 60 }, (_, n) => usage(n, noon - n, scope, BigInt(n)));
      const shuffled = events.toSorted((a, b) => b.callId.localeCompare(a.callId));
      await Promise.all([
        deliver(accounting, events.slice(0, 40)),
        deliver(replica, shuffled.slice(0, 45)),
        deliver(accounting, events.slice(20)),
        deliver(replica, [...shuffled, ...shuffled]),
      ]);
      await deliver(replica, events);
      const sum = 59n * 30n;
      assert.deepEqual(await spendOf(accounting, scope), { spent: sum, reserved: 5000n - sum });
      assert.equal(await countRows("spend_log", `key_id = 'once'`), 60);
    });

    test("the spend of a window can be set; what is leased stays reserved, and later calls add to it", async () => {
      const limits = { scope: "key:set", maxBudgetNanoUsd: 10_000n, budgetDuration: "1d" };
      await lease(accounting, "owner", limits, { nanoUsd: 5000n });
      await deliver(accounting, [usage(7001, noon, limits.scope, 100n)]);
      const set = (spentNanoUsd: bigint) => replica.spend.setSpend({ scope: limits.scope, spentNanoUsd });
      assert.equal((await set(9n)).previousNanoUsd, 100n);
      assert.equal((await set(9n)).previousNanoUsd, 9n);
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 9n, reserved: 4900n });
      await deliver(accounting, [usage(7002, noon, limits.scope, 1n)]);
      assert.equal((await spendOf(accounting, limits.scope)).spent, 10n);
      const { spends } = await accounting.spend.getSpend({ scopes: [limits.scope] });
      assert.equal(spends[0]?.resetsAt && timestampMs(spends[0].resetsAt), Date.UTC(2026, 5, 11));
      await assert.rejects(set(-1n), /not negative/);
      const { spends: top } = await accounting.spend.listSpenders({ kind: "key", limit: 1000 });
      assert.equal(top.find(({ scope }) => scope === limits.scope)?.spentNanoUsd, 10n);
      assert.deepEqual(
        top.map(({ spentNanoUsd }) => spentNanoUsd),
        top.map(({ spentNanoUsd }) => spentNanoUsd).toSorted((a, b) => (a < b ? 1 : -1)),
      );
    });

    test("what a scope has spent, with its windows and models, is copied to another", async () => {
      const scopes = ["key:from", "key:from|model:m", "key:from-other"];
      for (const [at, scope] of scopes.entries()) {
        await lease(accounting, "owner", { scope, budgetDuration: "1d", maxBudgetNanoUsd: 1000n }, { nanoUsd: 10n });
        await replica.spend.setSpend({ scope, spentNanoUsd: BigInt(at + 1) });
      }
      await replica.spend.setSpend({ scope: "key:to", spentNanoUsd: 99n });
      const copy = () => accounting.spend.copySpend({ fromScope: "key:from", toScope: "key:to" });
      await copy();
      await copy();
      const asked = ["key:from", "key:to", "key:to|model:m", "key:to-other"];
      const { spends } = await replica.spend.getSpend({ scopes: asked });
      assert.deepEqual(
        spends.map(({ spentNanoUsd }) => spentNanoUsd),
        [1n, 1n, 2n, 0n],
      );
      assert.deepEqual(spends[1]?.resetsAt, spends[0]?.resetsAt);
      await assert.rejects(accounting.spend.copySpend({ fromScope: "key:from", toScope: "" }));
    });

    test("scopes that ended are forgotten with those beneath them, unless somebody holds a lease of them", async () => {
      const spent = ["team:end", "team:end|model:m", "team:end|window:1d", "team:end|b", "team:ending", "team:held"];
      for (const scope of spent) await accounting.spend.setSpend({ scope, spentNanoUsd: 5n });
      await lease(accounting, "o", { scope: "team:held", maxBudgetNanoUsd: 1000n }, { nanoUsd: 10n });
      const forget = (...scopes: string[]) => replica.spend.forgetSpend({ scopes });
      await forget("team:end", "team:held", "team:never there");
      await forget();
      const { spends } = await accounting.spend.getSpend({ scopes: spent });
      assert.deepEqual(
        spends.map(({ spentNanoUsd }) => spentNanoUsd),
        [0n, 0n, 0n, 5n, 5n, 5n],
      );
      const limits = { scope: "team:end", maxBudgetNanoUsd: 100n };
      await lease(accounting, "o", limits, { nanoUsd: 60n });
      assert.equal((await spendOf(accounting, "team:end")).reserved, 60n);
      await assert.rejects(forget(""));
      await assert.rejects(forget(...Array.from({ length: 1001 }, (_, n) => `key:${n}`)));
    });

    test("random batches of many scopes on two replicas at the same time add up, without a deadlock", async () => {
      const random = seededRandom(11);
      const scopes = ["key:a", "key:b", "team:c", "user:d", "team:e"];
      const expected = new Map(scopes.map((scope) => [scope, 0n]));
      const events = Array.from({ length: 300 }, (_, n) => {
        const picked = scopes.filter(() => random() < 0.5).toSorted(() => random() - 0.5);
        const nanoUsd = BigInt(Math.floor(random() * 100));
        for (const scope of picked) expected.set(scope, (expected.get(scope) ?? 0n) + nanoUsd);
        const settlements = picked.map((scope) => ({ scope, consumed: { nanoUsd } }));
        return usage(n + 1000, noon, "none", nanoUsd, { settlements });
      });
      const batches = Array.from({ length: 30 }, () => {
        const from = Math.floor(random() * 280);
        return events.slice(from, from + 20).toSorted(() => random() - 0.5);
      });
      const leases = scopes.map((scope) =>
        lease(replica, "o", { scope, maxBudgetNanoUsd: 10n ** 9n }, { nanoUsd: 1n }),
      );
      await Promise.all([
        ...batches.map((batch, at) => deliver(at % 2 === 0 ? accounting : replica, batch)),
        ...leases,
      ]);
      await deliver(accounting, events);
      for (const [scope, spent] of expected) assert.equal((await spendOf(replica, scope)).spent, spent, scope);
    });

    test("a lease never falls below zero, and a record of a forgotten owner is charged all the same", async () => {
      const limits = { scope: "key:over", maxBudgetNanoUsd: 100n };
      await lease(accounting, "owner", limits, { nanoUsd: 10n });
      await deliver(accounting, [
        usage(2000, noon, limits.scope, 25n),
        usage(2001, noon, limits.scope, 5n, { leaseOwner: "unknown" }),
      ]);
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 30n, reserved: 0n });
    });

    test("the window holds in the end the tokens that were consumed", async () => {
      const limits = { scope: "key:tokens", tpmLimit: 100n };
      const grant = await lease(accounting, "owner", limits, { tokens: 90n });
      const settle = (n: number, consumed: bigint, leasedTokens: bigint) =>
        deliver(accounting, [
          usage(n, noon, limits.scope, 1n, {
            settlements: [
              { scope: limits.scope, consumed: { tokens: consumed }, leasedTokens, leasedAt: grant.leasedAt },
            ],
          }),
        ]);
      await settle(3000, 10n, 60n);
      await settle(3000, 10n, 60n);
      await settle(3001, 45n, 30n);
      await refused(accounting, "owner", limits, { tokens: 46n });
      await lease(accounting, "owner", limits, { tokens: 45n });
    });

    test("unreadable records are kept aside and never hold up the rest of a batch", async () => {
      const scope = "key:poison";
      const good = usage(4000, noon, scope, 7n);
      const bad: [string, UsageRecorded][] = [
        ["not a UUIDv7", usage(4001, noon, scope, 1n, { recordId: "nonsense\0" })],
        ["not a UUIDv7", usage(4002, noon, scope, 1n, { recordId: crypto.randomUUID() })],
        ["400 days", usage(4003, noon, scope, 1n, { recordId: recordId(noon - 500 * 86_400_000, 1) })],
        ["400 days", usage(4004, noon, scope, 1n, { recordId: recordId(noon + 5 * 86_400_000, 1) })],
        ["cost", usage(4005, noon, scope, -5n)],
        ["cost", usage(4006, noon, scope, 2n ** 62n)],
        ["token count", usage(4007, noon, scope, 1n, { usage: { inputTokens: 2n ** 63n } })],
        ["settle", usage(4009, noon, scope, 1n, { settlements: [{ scope: "" }] })],
        ["twice", usage(4010, noon, scope, 1n, { settlements: [{ scope: "a" }, { scope: "a" }] })],
      ];
      const garbage = Uint8Array.of(0xff, 0xff, 0xff);
      const batch = [...bad.map(([, event]) => event), good].map((event) => toBinary(UsageRecordedSchema, event));
      for (const _ of [1, 2]) await accounting.events.publishDurable(UsageRecordedSchema, [garbage, ...batch]);
      assert.equal((await spendOf(accounting, scope)).spent, 7n);
      const kept = await accounting.database
        .em()
        .execute("select reason, event from accounting.rejected_usage order by reason");
      assert.equal(kept.length, bad.length + 1);
      const reasons = kept.map((row) => String(row.reason)).join("\n");
      for (const [reason] of bad) assert.match(reasons, new RegExp(reason));
      const bytes = kept.find((row) => String(row.reason).includes("token count"))?.event;
      assert.deepEqual(
        kept.filter(({ reason }) => reason === "it is no usage record").map(({ event }) => [...Buffer.from(event)]),
        [[...garbage]],
      );
      assert.ok(bytes instanceof Uint8Array);
      assert.equal(fromBinary(UsageRecordedSchema, bytes).callId, "call-4007");
    });

    test("absurd times do not keep a call from being charged", async () => {
      const scope = "key:clock";
      const absurd = timestampFromMs(8e15);
      const times = { startedAt: absurd, endedAt: absurd, firstPayloadAt: absurd };
      await deliver(accounting, [usage(4500, noon, scope, 3n, times, { leasedAt: absurd, leasedTokens: 1n })]);
      assert.equal((await spendOf(accounting, scope)).spent, 3n);
      assert.equal(await countRows("spend_log", "key_id = 'clock' and first_payload_at is null"), 1);
    });

    test("hostile texts and huge lists become a row", async () => {
      const hostile = "a\0'\"\\{},\u{1F600}\uD800";
      const tags = Array.from({ length: 500 }, () => hostile);
      await deliver(accounting, [
        usage(5000, noon, "key:hostile", 1n, { endUser: hostile.repeat(1000), tags, callId: hostile, model: hostile }),
      ]);
      assert.equal(await countRows("spend_log", `key_id = 'hostile' and cardinality(tags) = 100`), 1);
    });

    test("a late record gets the partition of its day", async () => {
      const day = 86_400_000;
      const scope = "key:late";
      await deliver(
        accounting,
        [1, 40, 300].map((ago) => usage(6000 + ago, noon - ago * day, scope, 2n)),
      );
      assert.equal(await countRows("spend_row_20260501"), 1);
      assert.equal(await countRows("spend_log", "key_id = 'late'"), 3);
      assert.equal((await spendOf(accounting, scope)).spent, 6n);
      await Promise.all(
        [1, 2].map((n) => deliver(n === 1 ? accounting : replica, [usage(6100 + n, noon - 7 * day, scope, 1n)])),
      );
      assert.equal((await spendOf(accounting, scope)).spent, 8n);
    });

    test("a record without a price costs nothing and says so", async () => {
      const scope = "key:unpriced";
      await deliver(accounting, [usage(7000, noon, scope, 99n, { cost: { nanoUsd: 99n, state: CostState.UNPRICED } })]);
      assert.equal((await spendOf(accounting, scope)).spent, 0n);
      assert.equal(await countRows("spend_log", "key_id = 'unpriced' and cost_state = 'unpriced'"), 1);
    });

    test("changed spend is announced, several scopes at a time", async () => {
      const { promise, resolve } = Promise.withResolvers<string[]>();
      const stop = accounting.events.subscribe(SpendChangedSchema, ({ scopes }) => {
        if (scopes.includes("key:told-2")) resolve(scopes);
      });
      const events = [1, 2].map((n) => usage(8000 + n, noon, `key:told-${n}`, 1n));
      await deliver(accounting, events);
      assert.ok((await promise).includes("key:told-1"));
      await stop();
    });
  });
}
