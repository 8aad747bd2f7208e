import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import type { Logger } from "#chassis/log.ts";
import { WireWriter } from "#chassis/wire/wire-writer.ts";
import { LeaseRecalledSchema, type QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { type Settlement, type UsageRecorded, UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";
import { type AdoptionOptions, adoptForEver } from "../journal/adoption.ts";
import { Journal, type JournalPosition } from "../journal/journal.ts";
import type { OpenCall } from "../journal/segment.ts";
import { encodeUsageRecord } from "../journal/usage-record-writer.ts";
import type { Admission, AdmissionRequest, Admitter, CallEnd, Cancellable } from "./admission.ts";
import { recordOfBegin, recordOfEnd, tokensOf } from "./call-record.ts";
import { type Claim, claimed } from "./claim.ts";
import type { AdmissionConfig } from "./config.ts";
import { type AdmissionEvents, createAdmissionEvents, observeAdmission } from "./events.ts";
import { type CallScope, Hold } from "./hold.ts";
import type { Granted } from "./lease-queue.ts";
import { LeaseQueues } from "./lease-queues.ts";
import { createRecordIds } from "./record-ids.ts";
import { Relay } from "./relay.ts";
import { hasBudget, limitsOf } from "./wallet.ts";
import { WalletBook } from "./wallet-book.ts";

export interface AdmitterOptions {
  /** The folder of the journals of all processes on this machine; made where it is not there. */
  readonly journalDir: string;
  /** The process, a UUID minted at its start. */
  readonly owner: string;
  readonly quota: Client<typeof QuotaService>;
  readonly events: EventBus;
  readonly log: Logger;
  readonly meter: Meter;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly config: AdmissionConfig;
}

const tickMs = 500;
const accountingTimeoutMs = 2000;
/** How long a shutdown waits for a batch of an adopted journal. What is not done stays for the next process. */
const adoptionStopMs = 1000;

/**
 * Opens the process's journal and starts its background work: the relay, the care of the wallets, and the adoption of
 * journals whose processes are dead. Rejects where the journal's folder cannot be used.
 */
export async function createAdmitter(options: AdmitterOptions): Promise<Admitter> {
  mkdirSync(options.journalDir, { recursive: true, mode: 0o700 });
  const journal = new Journal({
    folder: options.journalDir,
    owner: options.owner,
    log: options.log,
    fsyncIntervalMs: options.config.journalFsyncMs,
  });
  return new WalletAdmitter(options, journal);
}

/** Admits from wallets. Use `createAdmitter`; tests that fill the disk bring their own journal. */
export class WalletAdmitter implements Admitter {
  readonly #options: AdmitterOptions;
  readonly #events: AdmissionEvents;
  readonly #journal: Journal;
  readonly #newRecordId = createRecordIds();
  readonly #writer = new WireWriter();
  readonly #book: WalletBook;
  readonly #queues: LeaseQueues;
  readonly #relay: Relay;
  readonly #stop = new AbortController();
  readonly #unobserve: () => void;
  readonly #unsubscribe: () => Promise<void>;
  readonly #ticking: NodeJS.Timeout;
  readonly #adoption: Promise<void>;
  #inFlight = 0;
  #closing = false;

  constructor(options: AdmitterOptions, journal: Journal) {
    const { config, clock, owner, quota } = options;
    this.#options = options;
    this.#journal = journal;
    this.#events = createAdmissionEvents(options.meter, options.log);
    const events = this.#events;
    const { idleReturnMs } = config;
    this.#book = new WalletBook({ owner, quota, clock, events, idleReturnMs, timeoutMs: accountingTimeoutMs });
    this.#queues = new LeaseQueues({ book: this.#book, clock, events, config });
    this.#relay = new Relay({
      journal,
      bus: options.events,
      events,
      intervalMs: config.relayIntervalMs,
      memory: config.relayMemory,
      onAcked: (scopes) => this.#book.acked(scopes),
    });
    this.#unobserve = observeAdmission(options.meter, {
      unsentRecords: () => this.#relay.unsent,
      journalBytes: () => journal.bytes,
      wallets: () => this.#book.size,
    });
    this.#unsubscribe = options.events.subscribe(LeaseRecalledSchema, (recalled) => {
      if (recalled.owner !== owner) void this.#book.recall(recalled.scope);
    });
    this.#ticking = setInterval(() => this.#tick(), tickMs).unref();
    this.#adoption = adoptForEver(this.#adoptionOptions(), config.adoptionIntervalMs, this.#stop.signal);
  }

  admit(request: AdmissionRequest, context: Cancellable): Promise<Admission> {
    if (this.#closing) return Promise.reject(shuttingDown());
    let claim: Claim;
    try {
      claim = this.#claimOf(request);
    } catch (error) {
      return Promise.reject(error);
    }
    const queued = claim.scopes.some(({ wallet }) => wallet !== undefined && wallet.waiting > 0);
    if (!queued) {
      const now = this.#options.clock();
      const hold = Hold.tryTake(claim.scopes, claim.nano, claim.tokens, now);
      if (hold !== undefined) {
        if (claim.scopes.some(({ wallet }) => wallet?.isLow(now) === true)) this.#queues.prefetch(claim);
        return this.#begin(request, { hold, outputTokenCap: undefined }, false);
      }
    }
    return this.#admitLater(request, claim, context.signal);
  }

  async #admitLater(request: AdmissionRequest, claim: Claim, signal: AbortSignal): Promise<Admission> {
    try {
      const granted = await this.#queues.wait(claim, signal);
      if (!signal.aborted && !this.#closing) return await this.#begin(request, granted, true);
      granted.hold.void(this.#options.clock());
      throw signal.aborted ? new ConnectError("the call was cancelled", Code.Canceled) : shuttingDown();
    } catch (error) {
      this.#events.refused(limitOf(error));
      throw error;
    }
  }

  #claimOf({ caller, estimate }: AdmissionRequest): Claim {
    const unlimited = caller.kind === CallerKind.MASTER;
    const scopes = caller.scopes.map((limits): CallScope => {
      const kinds = unlimited ? 0 : limitsOf(limits);
      return { scope: limits.scope, kinds, wallet: kinds === 0 ? undefined : this.#book.walletOf(limits) };
    });
    const { price } = estimate;
    if (price === undefined && this.#options.config.unpriced === "refuse" && !unlimited && hasBudget(caller.scopes)) {
      this.#events.refused("unpriced");
      throw gatewayError(Reason.UNPRICED, "The price of this model is unknown, and the key has a budget.", {
        param: "model",
      });
    }
    return { scopes, ...claimed(estimate), price };
  }

  async #begin(request: AdmissionRequest, { hold, outputTokenCap }: Granted, waited: boolean): Promise<Admission> {
    const { owner, clock } = this.#options;
    const now = clock();
    const admitted = { nano: hold.nano, outputTokenCap, settlements: hold.reserved() };
    const record = recordOfBegin(this.#newRecordId(), owner, request, admitted, now);
    let call: OpenCall;
    this.#inFlight += 1;
    try {
      call = this.#journal.begin(record);
      await this.#journal.flushed();
    } catch (error) {
      this.#inFlight -= 1;
      hold.void(clock());
      this.#events.journalRefused(error);
      throw gatewayError(Reason.UNAVAILABLE, "The gateway cannot record usage now. Try again.", {
        retryAfterMs: 1000,
        cause: error,
      });
    }
    this.#events.admitted(waited);
    return new AdmittedCall(this.#calls, record, call, hold, outputTokenCap);
  }

  /** What an admitted call tells its admitter. */
  readonly #calls: CallOwner = {
    settled: async (begin, call, hold, end) => {
      const now = this.#options.clock();
      const nano = end.cost.state === CostState.PRICED ? end.cost.nanoUsd : 0n;
      const record = recordOfEnd(begin, end, hold.settle(nano, tokensOf(end.usage), now), now);
      const encoded = encodeUsageRecord(this.#writer, record);
      let position: JournalPosition | undefined;
      try {
        position = this.#journal.end(call, encoded);
        await this.#journal.flushed();
      } catch (error) {
        position = undefined;
        this.#events.endNotJournalled(record.recordId, error);
      }
      this.#relay.push({ encoded, scopes: record.settlements.map(scopeOf) }, call, position);
      this.#inFlight -= 1;
    },
    voided: (call, hold) => {
      this.#inFlight -= 1;
      hold.void(this.#options.clock());
      this.#journal.void(call);
    },
    misused: (recordId) => this.#options.log.error("a call ended twice", { recordId }),
  };

  #tick(): void {
    this.#queues.tick();
    void this.#book.tick();
  }

  #adoptionOptions(): AdoptionOptions {
    const { journalDir, owner, events, quota, log } = this.#options;
    return {
      folder: journalDir,
      owner,
      publish: (records) =>
        events.publishDurable(
          UsageRecordedSchema,
          records.map((record) => encodeUsageRecord(this.#writer, record)),
        ),
      releaseWallets: async (dead) => {
        await quota.release({ owner: dead, all: true }, { timeoutMs: accountingTimeoutMs });
      },
      onAdopted: (dead, records) => this.#events.adopted(dead, records),
      log,
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    const deadline = performance.now() + this.#options.config.drainMs;
    while (this.#inFlight > 0 && performance.now() < deadline) await sleep(20);
    const sent = await this.#relay.flush(Math.max(0, deadline - performance.now()));
    this.#stop.abort();
    clearInterval(this.#ticking);
    this.#relay.close();
    this.#unobserve();
    await this.#unsubscribe();
    await Promise.race([this.#adoption, sleep(adoptionStopMs, undefined, { ref: false })]);
    await this.#book.close(sent && this.#inFlight === 0);
    this.#journal.close();
  }
}

interface CallOwner {
  settled(begin: UsageRecorded, call: OpenCall, hold: Hold, end: CallEnd): Promise<void>;
  voided(call: OpenCall, hold: Hold): void;
  misused(recordId: string): void;
}

class AdmittedCall implements Admission {
  readonly recordId: string;
  readonly outputTokenCap: number | undefined;
  readonly #owner: CallOwner;
  readonly #begin: UsageRecorded;
  readonly #call: OpenCall;
  readonly #hold: Hold;
  #ended = false;

  constructor(owner: CallOwner, begin: UsageRecorded, call: OpenCall, hold: Hold, outputTokenCap: number | undefined) {
    this.recordId = begin.recordId;
    this.outputTokenCap = outputTokenCap;
    this.#owner = owner;
    this.#begin = begin;
    this.#call = call;
    this.#hold = hold;
  }

  settle(end: CallEnd): Promise<void> {
    return this.#isFirstEnd() ? this.#owner.settled(this.#begin, this.#call, this.#hold, end) : Promise.resolve();
  }

  void(): void {
    if (this.#isFirstEnd()) this.#owner.voided(this.#call, this.#hold);
  }

  #isFirstEnd(): boolean {
    if (this.#ended) this.#owner.misused(this.recordId);
    const first = !this.#ended;
    this.#ended = true;
    return first;
  }
}

function scopeOf({ scope }: Settlement): string {
  return scope;
}

function shuttingDown(): ConnectError {
  return gatewayError(Reason.UNAVAILABLE, "The gateway is shutting down.", { retryAfterMs: 1000 });
}

function limitOf(error: unknown): string {
  const failure = ConnectError.from(error);
  if (failure.code === Code.Canceled) return "canceled";
  return findGatewayError(failure)?.limitType || "unavailable";
}
