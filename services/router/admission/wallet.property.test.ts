import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { ScopeLimits } from "#gen/sluice/inference/v1/limits_pb.ts";
import { type CallScope, Hold } from "./hold.ts";
import { type Granted, LeaseQueue } from "./lease-queue.ts";
import { randomNumbers, scopeLimits, settlementOf } from "./testing/fixtures.ts";
import { QuotaLedger } from "./testing/quota-ledger.ts";
import { limitsOf } from "./wallet.ts";
import { WalletBook } from "./wallet-book.ts";

const never = new AbortController().signal;
const silent = { leaseFailed: () => undefined, releaseFailed: () => undefined };

/** Two routers, one ledger, a clock that only the test moves. */
class World {
  now = 1_700_000_000_000;
  readonly ledger = new QuotaLedger(() => this.now);
  readonly limits: readonly ScopeLimits[];
  readonly routers = ["router-a", "router-b"].map((owner) => {
    const quota = createLocalClient(QuotaService, this.ledger.implementation);
    const clock = () => this.now;
    const book = new WalletBook({ owner, quota, clock, events: silent, idleReturnMs: 2000, timeoutMs: 1000 });
    return { owner, book, queues: new Map<string, LeaseQueue>() };
  });
  readonly running: { hold: Hold; router: number; nano: bigint; tokens: number }[] = [];
  #records = 0;

  constructor(limits: readonly ScopeLimits[]) {
    this.limits = limits;
  }

  async admit(router: number, which: readonly number[], nano: bigint, tokens: number): Promise<boolean> {
    const home = this.routers[router];
    if (home === undefined) return false;
    const scopes = which.flatMap((at): CallScope[] => {
      const limits = this.limits[at];
      if (limits === undefined) return [];
      return [{ scope: limits.scope, kinds: limitsOf(limits), wallet: home.book.walletOf(limits) }];
    });
    const hold = Hold.tryTake(scopes, nano, tokens, this.now);
    const granted = hold === undefined ? await this.#wait(home, scopes, nano, tokens) : { hold };
    if (granted !== undefined) this.running.push({ hold: granted.hold, router, nano, tokens });
    return granted !== undefined;
  }

  async #wait(home: World["routers"][number], scopes: CallScope[], nano: bigint, tokens: number) {
    const key = scopes.map(({ scope }) => scope).join();
    const config = { leaseWaitMs: 1000, refusalMemoryMs: 250 };
    const options = { book: home.book, clock: () => this.now, events: silent, config };
    const queue = home.queues.get(key) ?? new LeaseQueue(options, scopes);
    home.queues.set(key, queue);
    return queue.wait({ scopes, nano, tokens, price: undefined }, never).catch((): Granted | undefined => undefined);
  }

  /** Ends a call: at its estimate or below, or void. */
  end(at: number, cost: bigint, tokens: number, settleNow: boolean): void {
    const [call] = this.running.splice(at, 1);
    if (call === undefined) return;
    if (cost < 0n) {
      call.hold.void(this.now);
      return;
    }
    const settlements = call.hold.settle(cost, tokens, this.now).map(settlementOf);
    const leaseOwner = this.routers[call.router]?.owner ?? "";
    this.#records += 1;
    const record = create(UsageRecordedSchema, { recordId: `${this.#records}`, leaseOwner, settlements });
    this.#unsettled.push({ record, router: call.router });
    if (settleNow) this.settle();
  }

  readonly #unsettled: { record: ReturnType<typeof create<typeof UsageRecordedSchema>>; router: number }[] = [];

  settle(): void {
    for (const { record, router } of this.#unsettled.splice(0)) {
      this.ledger.settle([record, record]);
      this.routers[router]?.book.acked(record.settlements);
    }
  }

  async tick(): Promise<void> {
    for (const { book } of this.routers) await book.tick();
  }
}

test("over random calls nothing is promised beyond a limit, and nothing leaks", async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = randomNumbers(seed);
    const world = new World([
      scopeLimits("key:1", { maxBudgetNanoUsd: 20_000n, rpmLimit: 60 }),
      scopeLimits("key:2", { maxBudgetNanoUsd: 5000n, tpmLimit: 3000n, maxParallelRequests: 4 }),
      scopeLimits("team:1", { maxBudgetNanoUsd: 22_000n, tpmLimit: 9000n, maxParallelRequests: 7 }),
    ]);
    let admitted = 0;
    for (let step = 0; step < 300; step += 1) {
      const what = random(10);
      if (what < 5) {
        const scopes = [random(2), 2];
        if (await world.admit(random(2), scopes, BigInt(random(200)), random(200))) admitted += 1;
      } else if (what < 8 && world.running.length > 0) {
        const at = random(world.running.length);
        const call = world.running[at];
        const cost = random(5) === 0 ? -1n : BigInt(random(Number(call?.nano ?? 0n) + 1));
        world.end(at, cost, random((call?.tokens ?? 0) + 1), random(2) === 0);
      } else if (what === 8) {
        world.now += random(3000);
        await world.tick();
      } else world.settle();
      assert.deepEqual(world.ledger.violations(), [], `seed ${seed}, step ${step}`);
    }
    assert.ok(admitted > 20, `seed ${seed}: only ${admitted} admitted`);
    await drained(world, seed);
  }
});

/** When all calls are done: no wallet, no lease, and the window holds exactly what was consumed. */
async function drained(world: World, seed: number): Promise<void> {
  while (world.running.length > 0) world.end(0, 0n, 0, true);
  world.settle();
  for (let tick = 0; tick < 4; tick += 1) {
    world.now += 1500;
    await world.tick();
  }
  for (const { scope } of world.limits) {
    assert.equal(world.ledger.reserved(scope), 0n, `seed ${seed} ${scope}`);
    assert.equal(world.ledger.slots(scope), 0, `seed ${seed} ${scope}`);
    const charged = [...world.ledger.rows.values()].flatMap(({ settlements }) =>
      settlements.filter((settlement) => settlement.scope === scope),
    );
    assert.equal(
      world.ledger.spent(scope),
      charged.reduce((sum, { consumed }) => sum + (consumed?.nanoUsd ?? 0n), 0n),
    );
  }
  for (const { book } of world.routers) assert.equal(book.size, 3, "queues hold on to their wallets");
  for (const { queues } of world.routers) for (const queue of queues.values()) queue.dispose();
  await world.tick();
  for (const { book } of world.routers) assert.equal(book.size, 0, `seed ${seed}: wallets are left`);
}

test("tokens in the window are in the end what was consumed, also when a part has passed meanwhile", async () => {
  const world = new World([scopeLimits("key:1", { tpmLimit: 100_000n })]);
  for (const wait of [0, 100, 6000]) {
    await world.admit(0, [0], 0n, 1000);
    world.now += wait;
    world.end(0, 0n, 300, true);
    await world.admit(0, [0], 0n, 1000);
    world.now += wait;
    world.end(0, 0n, 1700, true);
    await world.admit(0, [0], 0n, 1000);
    world.now += wait;
    world.end(0, -1n, 0, true);
  }
  world.now += 2500;
  await world.tick();
  assert.equal(world.ledger.used("key:1").tokens, 3 * 2000);
});
