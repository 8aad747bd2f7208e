import type { Meter } from "@opentelemetry/api";
import { errorText, type Logger } from "#chassis/log.ts";

/** What happens in admission, one function per business event. */
export interface AdmissionEvents {
  admitted(waited: boolean): void;
  /** `limit` is `budget`, `requests`, `tokens`, `max_parallel_requests` or `unavailable`. */
  refused(limit: string): void;
  leaseFailed(error: unknown): void;
  releaseFailed(error: unknown): void;
  journalRefused(error: unknown): void;
  /** An `end` could not be journalled: the record lives in memory only until it is sent. */
  endNotJournalled(recordId: string, error: unknown): void;
  relayed(records: number): void;
  relayFailed(attempt: number, error: unknown): void;
  adopted(owner: string, records: number): void;
}

/** What the gauges read. */
export interface AdmissionGauges {
  unsentRecords(): number;
  journalBytes(): number;
  wallets(): number;
}

export function createAdmissionEvents(meter: Meter, log: Logger): AdmissionEvents {
  // Every call passes here: counting in two numbers that the scrape reads costs less than an instrument's look-up.
  const admissions = { direct: 0, waited: 0 };
  meter.createObservableCounter("sluice.admissions", { description: "Calls admitted" }).addCallback((result) => {
    result.observe(admissions.direct, { waited: false });
    result.observe(admissions.waited, { waited: true });
  });
  const refusals = meter.createCounter("sluice.refusals", { description: "Calls refused by a limit" });
  const leases = meter.createCounter("sluice.lease.failures", { description: "Lease calls that got no answer" });
  const journal = meter.createCounter("sluice.journal.failures", { description: "Writes that the journal refused" });
  const relayed = meter.createCounter("sluice.usage.relayed", { description: "Usage records the bus has taken" });
  const relays = meter.createCounter("sluice.usage.relay_failures", { description: "Batches the bus refused" });
  const adopted = meter.createCounter("sluice.usage.adopted", { description: "Usage records of dead processes" });
  return {
    admitted(waited) {
      admissions[waited ? "waited" : "direct"] += 1;
    },
    refused: (limit) => refusals.add(1, { limit }),
    leaseFailed(error) {
      leases.add(1);
      log.warn("accounting does not answer a lease", { error: errorText(error) });
    },
    releaseFailed: (error) => log.warn("a wallet could not be given back", { error: errorText(error) }),
    journalRefused(error) {
      journal.add(1);
      log.error("the journal refuses a call", { error: errorText(error) });
    },
    endNotJournalled(recordId, error) {
      journal.add(1);
      log.error("the journal refuses the end of a call", { recordId, error: errorText(error) });
    },
    relayed: (records) => relayed.add(records),
    relayFailed(attempt, error) {
      relays.add(1);
      log.warn("the event bus does not take usage records", { attempt, error: errorText(error) });
    },
    adopted(owner, records) {
      adopted.add(records);
      log.info("took over the journal of a dead process", { owner, records });
    },
  };
}

/** Registers the gauges; the returned function takes them off. */
export function observeAdmission(meter: Meter, gauges: AdmissionGauges): () => void {
  const unsent = meter.createObservableGauge("sluice.usage.unsent", { description: "Records the bus has not taken" });
  const bytes = meter.createObservableGauge("sluice.journal.size", { unit: "By", description: "Size of the journal" });
  const wallets = meter.createObservableGauge("sluice.wallets", { description: "Scopes with a wallet" });
  const pairs = [
    [unsent, gauges.unsentRecords],
    [bytes, gauges.journalBytes],
    [wallets, gauges.wallets],
  ] as const;
  const stops = pairs.map(([gauge, read]) => {
    const observe: Parameters<typeof gauge.addCallback>[0] = (result) => result.observe(read());
    gauge.addCallback(observe);
    return () => gauge.removeCallback(observe);
  });
  return () => {
    for (const stop of stops) stop();
  };
}
