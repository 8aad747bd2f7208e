import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import type { Logger } from "#chassis/log.ts";
import { LeaseRecalledSchema, type QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";
import { type AdoptionOptions, adoptForEver } from "../journal/adoption.ts";
import { Journal, type JournalPosition } from "../journal/journal.ts";
import type { Admission, AdmissionRequest, Admitter, Cancellable } from "./admission.ts";
import { AdmittedCall, type BegunCall, type CallOwner } from "./admitted-call.ts";
import { CallRecords, tokensOf } from "./call-record.ts";
import { type Claim, claimOf } from "./claim.ts";
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
  readonly #records: CallRecords;
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
    this.#records = new CallRecords(owner);
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
    if (!isAwaited(claim)) {
      const now = this.#options.clock();
      const hold = Hold.tryTake(claim.scopes, claim.nano, claim.tokens, now);
      if (hold !== undefined) {
        if (isLow(claim, now)) this.#queues.prefetch(claim);
        return this.#begin(request, { hold, outputTokenCap: undefined }, now, false);
      }
    }
    return this.#admitLater(request, claim, context.signal);
  }

  async #admitLater(request: AdmissionRequest, claim: Claim, signal: AbortSignal): Promise<Admission> {
    try {
      const granted = await this.#queues.wait(claim, signal);
      const now = this.#options.clock();
      if (!signal.aborted && !this.#closing) return await this.#begin(request, granted, now, true);
      granted.hold.void(now);
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
    return claimOf(scopes, estimate);
  }

  #begin(request: AdmissionRequest, granted: Granted, now: number, waited: boolean): Promise<Admission> {
    const { hold, outputTokenCap } = granted;
    const recordId = this.#newRecordId();
    const admitted = { nano: hold.nano, outputTokenCap, charges: hold.reserved() };
    this.#inFlight += 1;
    let begun: BegunCall;
    try {
      const record = this.#records.begin(recordId, request, admitted, now);
      const entry = this.#journal.begin(recordId, record.bytes);
      begun = { recordId, record, entry, hold, scopes: request.caller.scopes };
    } catch (error) {
      return Promise.reject(this.#notJournalled(hold, error));
    }
    return this.#journal.flushed().then(
      () => {
        this.#events.admitted(waited);
        return new AdmittedCall(this.#calls, begun, outputTokenCap);
      },
      (error) => {
        throw this.#notJournalled(hold, error);
      },
    );
  }

  #notJournalled(hold: Hold, error: unknown): ConnectError {
    this.#inFlight -= 1;
    hold.void(this.#options.clock());
    this.#events.journalRefused(error);
    return gatewayError(Reason.UNAVAILABLE, "The gateway cannot record usage now. Try again.", {
      retryAfterMs: 1000,
      cause: error,
    });
  }

  /** What an admitted call tells its admitter. */
  readonly #calls: CallOwner = {
    settled: ({ recordId, record, entry, hold, scopes }, end) => {
      const now = this.#options.clock();
      const nano = end.cost.state === CostState.PRICED ? end.cost.nanoUsd : 0n;
      const encoded = this.#records.end(record, end, hold.settle(nano, tokensOf(end.usage), now), now);
      const hand = (position: JournalPosition | undefined): void => {
        this.#relay.push({ encoded, scopes }, entry, position);
        this.#inFlight -= 1;
      };
      const keep = (error: unknown): void => {
        this.#events.endNotJournalled(recordId, error);
        hand(undefined);
      };
      let position: JournalPosition;
      try {
        position = this.#journal.end(entry, encoded);
      } catch (error) {
        keep(error);
        return Promise.resolve();
      }
      return this.#journal.flushed().then(() => hand(position), keep);
    },
    voided: ({ entry, hold }) => {
      this.#inFlight -= 1;
      hold.void(this.#options.clock());
      this.#journal.void(entry);
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
          records.map((record) => toBinary(UsageRecordedSchema, record)),
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

/** Whether calls wait for one of its wallets, and it must not overtake them. */
function isAwaited({ scopes }: Claim): boolean {
  for (const { wallet } of scopes) if (wallet !== undefined && wallet.waiting > 0) return true;
  return false;
}

function isLow({ scopes }: Claim, now: number): boolean {
  for (const { wallet } of scopes) if (wallet?.isLow(now) === true) return true;
  return false;
}

function shuttingDown(): ConnectError {
  return gatewayError(Reason.UNAVAILABLE, "The gateway is shutting down.", { retryAfterMs: 1000 });
}

function limitOf(error: unknown): string {
  const failure = ConnectError.from(error);
  if (failure.code === Code.Canceled) return "canceled";
  return findGatewayError(failure)?.limitType || "unavailable";
}
