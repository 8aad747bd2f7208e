import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { LeaseRecalledSchema } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import {
  type Accounting,
  deliver,
  lease,
  noon,
  refused,
  seededRandom,
  spendOf,
  startAccounting,
  startBackends,
  tryLease,
  usage,
} from "./testing/accounting-fixture.ts";

const backends = await startBackends();
after(() => Promise.all(backends.map((backend) => backend.stop())));

for (const backend of backends) {
  describe(`quota on ${backend.name}`, async () => {
    const accounting = await startAccounting(backend.url);
    const replica = await startAccounting(backend.url, accounting.time);
    after(async () => {
      await accounting.close();
      await replica.close();
    });
    const owners = ["o1", "o2", "o3", "o4", "o5"];

    function settled(owner: string, scope: string, n: number, nanoUsd: bigint) {
      const event = usage(n, accounting.time.now, scope, nanoUsd, { leaseOwner: owner });
      return deliver(accounting, [event]);
    }

    test("50 leases at the same time from 5 owners on 2 replicas never grant more than the budget", async () => {
      const limits = { scope: "key:burst", maxBudgetNanoUsd: 100n };
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          tryLease(
            n % 2 === 0 ? accounting : replica,
            owners[n % 5] ?? "",
            limits,
            { nanoUsd: 7n },
            { want: { nanoUsd: 20n } },
          ),
        ),
      );
      const granted = outcomes.reduce(
        (sum, each) => sum + (each instanceof ConnectError ? 0n : (each.granted?.nanoUsd ?? 0n)),
        0n,
      );
      assert.ok(granted <= 100n && granted >= 93n, `${granted}`);
      assert.deepEqual(await spendOf(accounting, "key:burst"), { spent: 0n, reserved: granted });
    });

    test("spent and leased never exceed the budget, whatever is leased, settled and released in between", async () => {
      const random = seededRandom(7);
      const limits = { scope: "key:mixed", maxBudgetNanoUsd: 1000n };
      const wallets = new Map(owners.map((owner) => [owner, 0n]));
      async function step(owner: string, n: number): Promise<void> {
        const held = wallets.get(owner) ?? 0n;
        const part = (held * BigInt(Math.floor(random() * 101))) / 100n;
        const at = n % 2 === 0 ? accounting : replica;
        const dice = random();
        if (dice < 0.5 || part === 0n) {
          const grant = await tryLease(
            at,
            owner,
            limits,
            { nanoUsd: BigInt(1 + Math.floor(random() * 60)) },
            { want: { nanoUsd: 200n } },
          );
          if (!(grant instanceof ConnectError))
            wallets.set(owner, (wallets.get(owner) ?? 0n) + (grant.granted?.nanoUsd ?? 0n));
        } else if (dice < 0.75) {
          wallets.set(owner, held - part);
          await settled(owner, limits.scope, n, part);
        } else {
          wallets.set(owner, held - part);
          await at.quota.release({ owner, scopes: [{ scope: limits.scope, unused: { nanoUsd: part } }] });
        }
        const { spent, reserved } = await spendOf(replica, limits.scope);
        assert.ok(spent + reserved <= 1000n, `${spent} + ${reserved}`);
      }
      for (let round = 0; round < 12; round += 1) {
        await Promise.all(owners.map((owner, at) => step(owner, round * 10 + at + 1000)));
      }
      const held = [...wallets.values()].reduce((sum, nano) => sum + nano, 0n);
      const { reserved } = await spendOf(accounting, limits.scope);
      assert.equal(reserved, held, "what is reserved is what the wallets hold");
    });

    test("a grant lies between need and want, and is the need near the limit", async () => {
      const limits = { scope: "key:shrink", maxBudgetNanoUsd: 1000n };
      const grants: bigint[] = [];
      for (let call = 0; call < 100; call += 1) {
        const grant = await tryLease(accounting, "o1", limits, { nanoUsd: 10n }, { want: { nanoUsd: 500n } });
        if (grant instanceof ConnectError) break;
        grants.push(grant.granted?.nanoUsd ?? 0n);
      }
      assert.equal(grants[0], 10n + 990n / 8n);
      assert.ok(grants.every((grant, at) => grant >= 10n && (at === 0 || grant <= (grants[at - 1] ?? 0n))));
      assert.equal(grants.at(-1), 10n);
      const total = grants.reduce((sum, grant) => sum + grant, 0n);
      assert.ok(total <= 1000n && total > 990n, `${total}`);
    });

    test("all scopes grant or none does, and the order of the grants is that of the request", async () => {
      const tight = { scope: "team:tight", maxBudgetNanoUsd: 5n };
      const wide = { scope: "key:wide", maxBudgetNanoUsd: 1000n };
      const need = { nanoUsd: 10n };
      await assert.rejects(
        accounting.quota.lease({
          owner: "o1",
          scopes: [
            { limits: wide, need, want: need },
            { limits: tight, need, want: need },
          ],
        }),
        /Budget has been exceeded! Current cost: 0, Max budget: 0.000000005/,
      );
      assert.deepEqual(await spendOf(accounting, wide.scope), { spent: 0n, reserved: 0n });
      const { grants } = await accounting.quota.lease({
        owner: "o1",
        scopes: [
          { limits: { scope: "z" }, need },
          { limits: { scope: "a" }, need },
        ],
      });
      assert.deepEqual(
        grants.map((grant) => grant.scope),
        ["z", "a"],
      );
    });

    test("the rest of a budget goes to a lone partial need, and to nobody while others hold some", async () => {
      const limits = { scope: "key:partial", maxBudgetNanoUsd: 100n };
      await lease(accounting, "o1", limits, { nanoUsd: 60n });
      await refused(accounting, "o2", limits, { nanoUsd: 70n }, { partial: true });
      await accounting.quota.release({ owner: "o1", scopes: [{ scope: limits.scope, unused: { nanoUsd: 20n } }] });
      await settled("o1", limits.scope, 1, 40n);
      const grant = await lease(accounting, "o2", limits, { nanoUsd: 70n }, { partial: true });
      assert.equal(grant.granted?.nanoUsd, 60n);
      await refused(accounting, "o2", limits, { nanoUsd: 1n }, { partial: true });
    });

    test("an owner that vanished stops counting at its TTL, and counts again when it comes back", async () => {
      const limits = { scope: "key:crash", maxBudgetNanoUsd: 100n, maxParallelRequests: 2 };
      const grant = await lease(accounting, "dead", limits, { nanoUsd: 100n, parallel: 2n });
      assert.equal(
        timestampMs(grant.expiresAt ?? { $typeName: "google.protobuf.Timestamp", seconds: 0n, nanos: 0 }),
        accounting.time.now + 30_000,
      );
      const before = await refused(accounting, "o1", limits, { nanoUsd: 10n });
      assert.equal(before.detail.limitType, "budget");
      accounting.time.now += 30_000;
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 0n, reserved: 0n });
      await lease(accounting, "o1", limits, { nanoUsd: 10n, parallel: 1n });
      const back = await refused(accounting, "dead", limits, {});
      assert.equal(back.detail.limitType, "budget");
      await accounting.quota.release({
        owner: "dead",
        scopes: [{ scope: limits.scope, unused: { nanoUsd: 10n, parallel: 1n } }],
      });
      await lease(accounting, "dead", limits, {});
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 0n, reserved: 100n });
    });

    test("what an owner never learned of is dropped once its wallet has expired and it holds nothing", async () => {
      const limits = { scope: "key:lost", maxBudgetNanoUsd: 100n, maxParallelRequests: 1 };
      const scopes = [{ limits, need: { nanoUsd: 60n, parallel: 1n }, empty: true }];
      const ask = () => accounting.quota.lease({ owner: "o1", scopes });
      await ask();
      await assert.rejects(ask(), /Budget/);
      await assert.rejects(accounting.quota.lease({ owner: "o2", scopes }), /Budget/);
      accounting.time.now += 30_000;
      await refused(accounting, "o1", limits, { nanoUsd: 60n, parallel: 1n });
      await ask();
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 0n, reserved: 60n });
      accounting.time.now = noon;
    });

    test("closing an owner frees slots at once and unsettled money after the grace", async () => {
      const limits = { scope: "key:close", maxBudgetNanoUsd: 100n, maxParallelRequests: 1 };
      await lease(accounting, "leaver", limits, { nanoUsd: 80n, parallel: 1n });
      for (const _ of [1, 2]) await accounting.quota.release({ owner: "leaver", scopes: [], all: true });
      await lease(accounting, "o1", limits, { nanoUsd: 20n, parallel: 1n });
      await refused(accounting, "o1", limits, { nanoUsd: 1n });
      accounting.time.now += 2000;
      await lease(accounting, "o1", limits, { nanoUsd: 80n });
    });

    test("a budget window resets on the second, and a change of its length keeps the spend", async () => {
      const limits = { scope: "key:window", maxBudgetNanoUsd: 100n, budgetDuration: "1d" };
      accounting.time.now = Date.UTC(2026, 5, 11, 23, 59, 59, 999);
      await lease(accounting, "o1", limits, { nanoUsd: 100n });
      await settled("o1", limits.scope, 2, 100n);
      const over = await refused(accounting, "o1", limits, { nanoUsd: 1n });
      assert.equal(over.message, "Budget has been exceeded! Current cost: 0.0000001, Max budget: 0.0000001");
      assert.ok(over.detail.retryAfter);
      assert.equal(durationMs(over.detail.retryAfter), 1);
      await refused(accounting, "o1", { ...limits, budgetDuration: "1mo" }, { nanoUsd: 1n });
      await refused(accounting, "o1", limits, { nanoUsd: 1n });
      accounting.time.now += 1;
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 0n, reserved: 0n });
      await lease(accounting, "o1", limits, { nanoUsd: 100n });
      await settled("o1", limits.scope, 3, 60n);
      const late = usage(4, Date.UTC(2026, 5, 11, 23, 59, 59), limits.scope, 5n, { leaseOwner: "o1" });
      await deliver(accounting, [late]);
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 60n, reserved: 35n });
      accounting.time.now = noon;
    });

    test("requests and tokens: never more than the limit, with the wait that helps", async () => {
      const limits = { scope: `key:${"ab12".repeat(16)}`, rpmLimit: 3, tpmLimit: 100n };
      const start = noon + 3_600_000;
      accounting.time.now = start;
      const grant = await lease(accounting, "o1", limits, { requests: 1n, tokens: 60n });
      accounting.time.now = start + 10_000;
      await lease(accounting, "o2", limits, { requests: 2n, tokens: 10n });
      const requests = await refused(accounting, "o2", limits, { requests: 1n });
      assert.equal(requests.detail.reason, Reason.RATE_LIMITED);
      assert.equal(requests.detail.limitType, "requests");
      assert.equal(
        requests.message,
        "Rate limit exceeded for api_key: ab12ab12. Limit type: requests. Current limit: 3, Remaining: 0. " +
          "Limit resets at: 2026-06-10 13:01:03 UTC",
      );
      const tokens = await refused(accounting, "o2", limits, { tokens: 31n });
      assert.equal(tokens.detail.limitType, "tokens");
      assert.match(tokens.message, /Remaining: 30\./);
      assert.ok(tokens.detail.retryAfter);
      assert.equal(durationMs(tokens.detail.retryAfter), 53_000);
      const never = await refused(accounting, "o2", limits, { tokens: 101n });
      assert.equal(never.detail.retryAfter, undefined);
      await accounting.quota.release({
        owner: "o1",
        scopes: [{ scope: limits.scope, leasedAt: grant.leasedAt, unused: { requests: 1n, tokens: 20n } }],
      });
      await lease(accounting, "o2", limits, { requests: 1n, tokens: 50n });
      accounting.time.now = start + 62_999;
      await refused(accounting, "o2", limits, { tokens: 1n });
      accounting.time.now = start + 63_000;
      await lease(accounting, "o2", limits, { tokens: 40n });
      accounting.time.now = noon;
    });

    test("no stretch of 60 seconds sees more requests than the limit, used as late as they may be", async () => {
      const random = seededRandom(3);
      const limits = { scope: "key:sliding", rpmLimit: 20 };
      const uses: number[] = [];
      const start = noon + 7_200_000;
      accounting.time.now = start;
      while (accounting.time.now < start + 200_000) {
        accounting.time.now += Math.floor(random() * 3000);
        const grant = await tryLease(accounting, "o1", limits, { requests: 1n }, { want: { requests: 5n } });
        if (grant instanceof ConnectError) continue;
        const late = random() < 0.5 ? timestampMs(grant.rateExpiresAt ?? assert.fail()) : accounting.time.now;
        for (let n = 0n; n < (grant.granted?.requests ?? 0n); n += 1n) uses.push(late);
      }
      for (const use of uses) {
        const inWindow = uses.filter((other) => other > use - 60_000 && other <= use).length;
        assert.ok(inWindow <= 20, `${inWindow} requests in 60 s`);
      }
      assert.ok(uses.length >= 50, `${uses.length} requests were let through in 200 s`);
      accounting.time.now = noon;
    });

    test("slots are limited and come back", async () => {
      const limits = { scope: "key:slots", maxParallelRequests: 2 };
      await lease(accounting, "o1", limits, { parallel: 1n }, { want: { parallel: 5n } });
      await lease(accounting, "o2", limits, { parallel: 1n });
      const full = await refused(accounting, "o2", limits, { parallel: 1n });
      assert.equal(full.detail.limitType, "max_parallel_requests");
      await accounting.quota.release({ owner: "o1", scopes: [{ scope: limits.scope, unused: { parallel: 9n } }] });
      await lease(accounting, "o2", limits, { parallel: 1n });
    });

    test("a refusal while others hold wallets recalls them, once in a while", async () => {
      const recalled: string[] = [];
      const stop = accounting.events.subscribe(LeaseRecalledSchema, ({ scope, owner }) =>
        recalled.push(`${scope} ${owner}`),
      );
      const limits = { scope: "key:recall", maxBudgetNanoUsd: 10n };
      await lease(accounting, "o1", limits, { nanoUsd: 10n });
      await refused(accounting, "o1", limits, { nanoUsd: 1n });
      assert.deepEqual(recalled, []);
      for (const _ of [1, 2, 3]) await refused(accounting, "o2", limits, { nanoUsd: 1n });
      assert.deepEqual(recalled, ["key:recall o2"]);
      await stop();
    });

    test("a grant whose caller has gone away is taken back", async () => {
      const limits = { scope: "key:gone", maxBudgetNanoUsd: 10n, rpmLimit: 1 };
      const need = { nanoUsd: 10n, requests: 1n };
      await lease(accounting, "o1", limits, {});
      const caller = new AbortController();
      const lost = accounting.quota.lease({ owner: "o1", scopes: [{ limits, need }] }, { signal: caller.signal });
      caller.abort();
      await assert.rejects(lost, { code: Code.Canceled });
      let last = await tryLease(replica, "o2", limits, need);
      for (let tries = 0; tries < 200 && last instanceof ConnectError; tries += 1) {
        last = await tryLease(replica, "o2", limits, need);
      }
      assert.deepEqual(await spendOf(accounting, limits.scope), { spent: 0n, reserved: 10n });
    });

    test("a start counts wallets again that could not be renewed without accounting", async () => {
      const limits = { scope: "key:outage", maxBudgetNanoUsd: 10n };
      const time = { now: noon + 86_400_000 };
      const first = await startAccounting(backend.url, time);
      await lease(first, "o1", limits, { nanoUsd: 10n });
      await first.close();
      time.now += 120_000;
      const second = await startAccounting(backend.url, time);
      await refused(second, "o2", limits, { nanoUsd: 1n });
      time.now += 30_000;
      await lease(second, "o2", limits, { nanoUsd: 10n });
      await second.close();
    });

    test("malformed requests are refused by name", async () => {
      const cases: [Parameters<Accounting["quota"]["lease"]>[0], RegExp][] = [
        [{ owner: "", scopes: [{ limits: { scope: "a" } }] }, /owner/],
        [{ owner: "o", scopes: [] }, /scopes/],
        [{ owner: "o", scopes: [{}] }, /scope/],
        [{ owner: "o", scopes: [{ limits: { scope: "a\0" } }] }, /scope/],
        [{ owner: "o", scopes: [{ limits: { scope: "a" } }, { limits: { scope: "a" } }] }, /twice/],
        [{ owner: "o", scopes: [{ limits: { scope: "a" }, need: { nanoUsd: -1n } }] }, /negative/],
        [{ owner: "o", scopes: [{ limits: { scope: "a" }, need: { tokens: 2n ** 63n } }] }, /too large/],
        [{ owner: "o", scopes: [{ limits: { scope: "a", budgetDuration: "soon" } }] }, /duration/],
      ];
      for (const [request, message] of cases) await assert.rejects(accounting.quota.lease(request), message);
    });
  });
}
