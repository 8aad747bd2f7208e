import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const busy = 5;

/**
 * Shows that the owner of a journal lives. The lock is SQLite's on a file of the folder: the kernel frees it however the
 * process ends, and unlike a process id it holds across containers that share the folder.
 */
export class OwnerLock {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Takes the lock, or returns undefined at once where somebody has it. Throws where the folder cannot be used. */
  static tryTake(folder: string): OwnerLock | undefined {
    const database = new DatabaseSync(join(folder, "lock.db"));
    try {
      database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY");
      database.exec("BEGIN EXCLUSIVE");
      return new OwnerLock(database);
    } catch (error) {
      database.close();
      if (isBusy(error)) return undefined;
      throw error;
    }
  }

  release(): void {
    this.#database.close();
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === busy;
}
