import { type Environment, integer, oneOf, text } from "#chassis/environment.ts";

/** How admission behaves. Times are milliseconds. */
export interface AdmissionConfig {
  /** What a budget says to a model without a known price: `allow` reserves nothing, `refuse` fails the call. */
  readonly unpriced: "allow" | "refuse";
  /** How often the journal goes to the disk; undefined leaves that to the operating system. */
  readonly journalFsyncMs: number | undefined;
  /** How long a call waits for accounting once its wallet is used up. */
  readonly leaseWaitMs: number;
  /** How long a refusal answers like calls without asking again. */
  readonly refusalMemoryMs: number;
  /** After how long without a call a wallet goes back. */
  readonly idleReturnMs: number;
  /** How long records are gathered before they are sent. */
  readonly relayIntervalMs: number;
  /** How many records wait in memory for the bus; more are read back from the journal. */
  readonly relayMemory: number;
  /** How often journals without an owner are looked for. */
  readonly adoptionIntervalMs: number;
  /** How long a shutdown waits for calls in flight and for the bus. */
  readonly drainMs: number;
}

export const defaultAdmissionConfig: AdmissionConfig = {
  unpriced: "allow",
  journalFsyncMs: undefined,
  leaseWaitMs: 5000,
  refusalMemoryMs: 250,
  idleReturnMs: 2000,
  relayIntervalMs: 50,
  relayMemory: 10_000,
  adoptionIntervalMs: 60_000,
  drainMs: 5000,
};

/** `SLUICE_UNPRICED` (`allow`, `refuse`) and `SLUICE_JOURNAL_FSYNC_MS`. */
export function readAdmissionEnv(env: Environment): AdmissionConfig {
  const fsync = text(env, "SLUICE_JOURNAL_FSYNC_MS");
  return {
    ...defaultAdmissionConfig,
    unpriced: oneOf(env, "SLUICE_UNPRICED", ["allow", "refuse"], "allow"),
    journalFsyncMs: fsync === undefined ? undefined : integer(env, "SLUICE_JOURNAL_FSYNC_MS", 10, 1, 60_000),
  };
}
