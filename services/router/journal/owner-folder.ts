import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { OwnerLock } from "./owner-lock.ts";

/** The folder appears under its name only with its lock taken: an adopter never sees one whose owner just starts. */
export function createOwnerFolder(folder: string, owner: string): OwnerLock {
  const hidden = join(folder, `.${owner}`);
  mkdirSync(hidden, { recursive: true, mode: 0o700 });
  const lock = OwnerLock.tryTake(hidden);
  if (lock === undefined) throw new Error(`the journal folder of ${owner} is in use`);
  renameSync(hidden, join(folder, owner));
  return lock;
}

/** Renames first, so that nobody finds a folder half removed. Call it with the lock held. */
export function removeOwnerFolder(folder: string, owner: string): void {
  if (!existsSync(join(folder, owner))) return;
  const hidden = join(folder, `.${owner}`);
  renameSync(join(folder, owner), hidden);
  rmSync(hidden, { recursive: true, force: true });
}
