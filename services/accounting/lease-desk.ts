import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Database } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { DatabaseOutage } from "./database-outage.ts";
import {
  addToBuckets,
  addToLeases,
  insertLedgers,
  lockLedgers,
  readBuckets,
  readWallets,
  takeFromLeases,
  writeLedgers,
} from "./db/quota-rows.ts";
import { hasRateLimit, LeaseBook, type LeaseOutcome } from "./lease-book.ts";
import type { ReadLease } from "./lease-request.ts";
import { bucketStart, windowFloor } from "./rate-window.ts";
import type { TimeZone } from "./time-zone.ts";

export interface LeaseDeskOptions {
  readonly database: Database;
  readonly outage: Pick<DatabaseOutage, "recover">;
  readonly clock: () => number;
  readonly leaseTtlMs: number;
  readonly rateHoldMs: number;
  readonly timeZone: TimeZone;
}

/** Where leases are asked for. */
export interface LeaseDesk {
  /**
   * Tops up an owner's wallets: all scopes grant or nothing changes. Rejects as the database does, and with the reason of
   * the signal where that fires before the turn of the request.
   */
  lease(request: ReadLease, signal: AbortSignal): Promise<LeaseOutcome>;
}

interface Waiting {
  readonly request: ReadLease;
  readonly signal: AbortSignal;
  readonly resolve: (outcome: LeaseOutcome) => void;
  readonly reject: (error: unknown) => void;
}

const maxWaiting = 10_000;
const maxBatch = 100;
const maxTransactions = 2;

/**
 * Decides leases in batches: what comes in while transactions run is decided together in the next one, in the order it
 * came. A key near its limit asks for every single call, and all of those wait for the same lock: one transaction for
 * many of them is what keeps that fast.
 */
export function createLeaseDesk(options: LeaseDeskOptions): LeaseDesk {
  const waiting: Waiting[] = [];
  const state = { transactions: 0 };

  function pump(): void {
    while (state.transactions < maxTransactions && waiting.length > 0) {
      const batch = waiting.splice(0, maxBatch);
      state.transactions += 1;
      void serve(batch).then(() => {
        state.transactions -= 1;
        pump();
      });
    }
  }

  async function serve(taken: readonly Waiting[]): Promise<void> {
    const batch = taken.filter(({ signal }) => !signal.aborted);
    for (const { signal, reject } of taken) if (signal.aborted) reject(signal.reason);
    if (batch.length === 0) return;
    try {
      const requests = batch.map(({ request }) => request);
      const outcomes = await decideTogether(options, requests);
      for (const [at, { resolve, reject }] of batch.entries()) {
        const outcome = outcomes[at];
        if (outcome === undefined) reject(new Error("a lease was not decided"));
        else resolve(outcome);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  return {
    lease(request, signal) {
      if (waiting.length >= maxWaiting) {
        const busy = gatewayError(Reason.UNAVAILABLE, "Too many leases wait. Try again.", { retryAfterMs: 1000 });
        return Promise.reject(busy);
      }
      return new Promise((resolve, reject) => {
        waiting.push({ request, signal, resolve, reject });
        pump();
      });
    },
  };
}

async function decideTogether(options: LeaseDeskOptions, requests: readonly ReadLease[]): Promise<LeaseOutcome[]> {
  const scopes = [...new Set(requests.flatMap(({ needs }) => needs.map((need) => need.scope)))];
  await options.outage.recover();
  for (;;) {
    const outcomes = await options.database.transaction((em) => tryDecide(em, options, requests, scopes));
    if (outcomes !== "ledger missing") return outcomes;
    await insertLedgers(options.database.em(), scopes);
  }
}

async function tryDecide(
  em: SqlEntityManager,
  { clock, leaseTtlMs, rateHoldMs, timeZone }: LeaseDeskOptions,
  requests: readonly ReadLease[],
  scopes: readonly string[],
): Promise<LeaseOutcome[] | "ledger missing"> {
  const ledgers = await lockLedgers(em, scopes);
  if (ledgers.size < scopes.length) return "ledger missing";
  const nowMs = clock();
  const floorMs = windowFloor(nowMs, rateHoldMs);
  const owners = [...new Set(requests.map(({ owner }) => owner))];
  const wallets = await readWallets(em, owners, scopes, nowMs);
  const rated = [...new Set(requests.flatMap(({ needs }) => needs.filter(hasRateLimit).map(({ scope }) => scope)))];
  const buckets = rated.length === 0 ? new Map() : await readBuckets(em, rated, floorMs);
  const book = new LeaseBook({ ledgers, wallets, buckets }, nowMs, rateHoldMs, timeZone);
  const outcomes = requests.map((request) => book.apply(request));
  await writeLedgers(em, book.changedLedgers);
  await takeFromLeases(em, book.lost);
  await addToLeases(em, [...book.increases.values()], nowMs + leaseTtlMs);
  if (book.rates.size > 0) await addToBuckets(em, book.rates, bucketStart(nowMs), floorMs);
  return outcomes;
}
