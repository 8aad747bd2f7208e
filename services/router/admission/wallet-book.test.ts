import assert from "node:assert/strict";
import { test } from "node:test";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { type CallScope, Hold } from "./hold.ts";
import { scopeLimits } from "./testing/fixtures.ts";
import { QuotaLedger } from "./testing/quota-ledger.ts";
import { limitsOf } from "./wallet.ts";
import { type Quantities, WalletBook } from "./wallet-book.ts";

const limits = scopeLimits("key:1", { maxBudgetNanoUsd: 10_000n, maxParallelRequests: 10 });

function start() {
  const time = { now: 1_700_000_000_000 };
  const ledger = new QuotaLedger(() => time.now);
  const failures: unknown[] = [];
  const book = new WalletBook({
    owner: "router-a",
    quota: createLocalClient(QuotaService, ledger.implementation),
    clock: () => time.now,
    events: { leaseFailed: (error) => failures.push(error), releaseFailed: (error) => failures.push(error) },
    idleReturnMs: 2000,
    timeoutMs: 1000,
  });
  const wallet = book.walletOf(limits);
  const quantities = (nanoUsd: bigint, parallel: bigint): Quantities => ({
    nanoUsd,
    parallel,
    requests: 0n,
    tokens: 0n,
  });
  const lease = (nano: bigint, slots: bigint) =>
    book.lease([{ wallet, need: quantities(nano, slots), want: quantities(nano, slots), partial: false }]);
  const scopes: CallScope[] = [{ scope: "key:1", wallet, kinds: limitsOf(limits) }];
  const call = (nano: bigint) => Hold.tryTake(scopes, nano, 0, time.now);
  const pass = async (ms: number) => {
    for (let done = 0; done < ms; done += 500) {
      time.now += 500;
      await book.tick();
    }
  };
  return { time, ledger, failures, book, wallet, lease, call, pass };
}

test("a wallet in use is renewed at a third of its lease, and no oftener", async () => {
  const { ledger, wallet, lease, call, pass, time } = start();
  await lease(3000n, 1n);
  const hold = call(1000n);
  await pass(9500);
  assert.equal(ledger.calls.lease, 1);
  await pass(1000);
  assert.equal(ledger.calls.lease, 2);
  await pass(60_000);
  assert.equal(ledger.calls.lease, 8);
  assert.ok(wallet.isLive(time.now));
  assert.equal(ledger.reserved("key:1"), 1000n);
  hold?.void(time.now);
});

test("an idle wallet goes back after two seconds and is forgotten", async () => {
  const { ledger, book, lease, call, pass, time } = start();
  await lease(3000n, 2n);
  call(1000n)?.void(time.now);
  await pass(1500);
  assert.equal(ledger.reserved("key:1"), 3000n);
  await pass(1000);
  assert.equal(ledger.reserved("key:1"), 0n);
  assert.equal(ledger.slots("key:1"), 0);
  assert.equal(book.size, 0);
});

test("a lowered limit takes back what was leased under the higher one; a raised one leaves it", async () => {
  const { ledger, book, wallet, lease, call, time } = start();
  await lease(9000n, 2n);
  const hold = call(1000n);
  assert.equal(book.walletOf({ ...limits, maxBudgetNanoUsd: 20_000n }), wallet);
  assert.equal(wallet.nano, 8000n);
  assert.equal(book.walletOf({ ...limits, maxBudgetNanoUsd: 5000n }), wallet);
  assert.equal(call(1n), undefined);
  await book.returnExpired([wallet]);
  assert.equal(ledger.reserved("key:1"), 1000n);
  hold?.void(time.now);
});

test("an expired wallet is not spent from; what it held goes back before the next lease", async () => {
  const { ledger, book, wallet, lease, call, pass, time, failures } = start();
  await lease(9000n, 2n);
  const hold = call(1000n);
  assert.ok(hold);
  ledger.down = true;
  await pass(29_500);
  assert.ok(failures.length > 0);
  assert.equal(call(1000n), undefined);
  ledger.down = false;
  await book.returnExpired([wallet]);
  await lease(1000n, 1n);
  assert.deepEqual(ledger.violations(), []);
  hold.void(time.now);
  assert.ok(call(1000n));
});

test("a record that the bus has not taken keeps its lease alive", async () => {
  const { ledger, lease, call, pass, time } = start();
  await lease(1000n, 1n);
  call(1000n)?.settle(900n, 0, time.now);
  await pass(90_000);
  assert.equal(ledger.reserved("key:1"), 900n);
});

test("a call that costs more than its estimate is made up for, and forgotten once it is charged", async () => {
  const { lease, call, wallet, book, time } = start();
  await lease(1000n, 1n);
  const hold = call(1000n);
  assert.ok(hold);
  const settlements = hold.settle(1200n, 0, time.now);
  assert.equal(wallet.nano, -200n);
  assert.equal(call(1n), undefined);
  book.acked(settlements);
  assert.equal(wallet.nano, 0n);
});
