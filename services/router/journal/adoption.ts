import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errorText, type Logger } from "#chassis/log.ts";
import type { UsageRecorded } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { removeOwnerFolder } from "./owner-folder.ts";
import { OwnerLock } from "./owner-lock.ts";
import { leftRecords } from "./recovery.ts";

export interface AdoptionOptions {
  /** The folder that holds the journals of all owners. */
  readonly folder: string;
  /** The process that adopts. */
  readonly owner: string;
  /** Stores records durably; sending one twice does no harm. */
  readonly publish: (records: readonly UsageRecorded[]) => Promise<void>;
  /** Gives the dead owner's wallets back. */
  readonly releaseWallets: (owner: string) => Promise<void>;
  readonly onAdopted: (owner: string, records: number) => void;
  readonly log: Logger;
}

const ownerPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const firstRetryMs = 500;

/**
 * Looks for journals without an owner now and every `intervalMs`; sooner where one could not be adopted, as at a start
 * where nobody consumes records yet. Resolves when `signal` is aborted.
 */
export async function adoptForEver(options: AdoptionOptions, intervalMs: number, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    failures = (await adoptOrphans(options, signal)) ? 0 : failures + 1;
    const pause = failures === 0 ? intervalMs : Math.min(intervalMs, firstRetryMs * 2 ** Math.min(failures - 1, 10));
    await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/**
 * Takes over the journals whose owners are dead: sends what they did not, gives their wallets back, removes the folder.
 * Of two processes that try, the one with the folder's lock does it. One that fails leaves all in place for the next
 * try. A folder with a damaged segment is kept as `<owner>.damaged`. Stops between two batches when `signal` is aborted.
 * False where one failed; never rejects.
 */
export async function adoptOrphans(options: AdoptionOptions, signal: AbortSignal): Promise<boolean> {
  let done = true;
  for (const owner of ownersIn(options)) {
    if (signal.aborted) return done;
    try {
      await adoptOne(options, owner, signal);
    } catch (error) {
      done = false;
      options.log.warn("a left journal cannot be adopted yet", { owner, error: errorText(error) });
    }
  }
  return done;
}

function ownersIn({ folder, owner, log }: AdoptionOptions): string[] {
  try {
    const names = readdirSync(folder);
    for (const name of names.filter((name) => name.startsWith("."))) removeRemains(folder, name);
    return names.filter((name) => ownerPattern.test(name) && name !== owner);
  } catch (error) {
    log.error("the journal folder cannot be read", { folder, error: errorText(error) });
    return [];
  }
}

/** Young hidden folders are left alone: their owner may be just about to take the lock. */
const remainsAgeMs = 60_000;

/** A hidden folder is one whose owner died before its first record, or whose adopter died after the last. */
function removeRemains(folder: string, name: string): void {
  const path = join(folder, name);
  if (!ownerPattern.test(name.slice(1))) return;
  try {
    if (Date.now() - statSync(path).mtimeMs < remainsAgeMs) return;
    const lock = OwnerLock.tryTake(path);
    if (lock === undefined) return;
    if (existsSync(path)) rmSync(path, { recursive: true, force: true });
    lock.release();
  } catch {
    // Another process removes it at the same moment.
  }
}

async function adoptOne(options: AdoptionOptions, owner: string, signal: AbortSignal): Promise<void> {
  const path = join(options.folder, owner);
  if (!existsSync(path)) return;
  const lock = OwnerLock.tryTake(path);
  if (lock === undefined) return;
  try {
    // Somebody else may have adopted and removed it between the look and the lock.
    if (!existsSync(path)) return;
    let records = 0;
    let damaged = false;
    for await (const batch of leftRecords(path, options.log, () => (damaged = true))) {
      if (signal.aborted) return;
      await options.publish(batch);
      records += batch.length;
    }
    await releaseWallets(options, owner);
    if (damaged) renameSync(path, `${path}.damaged`);
    else removeOwnerFolder(options.folder, owner);
    options.onAdopted(owner, records);
  } finally {
    lock.release();
  }
}

/** Without it the wallets run out by themselves: no reason to send all records again. */
async function releaseWallets({ releaseWallets, log }: AdoptionOptions, owner: string): Promise<void> {
  try {
    await releaseWallets(owner);
  } catch (error) {
    log.warn("the wallets of a dead process could not be released", { owner, error: errorText(error) });
  }
}
