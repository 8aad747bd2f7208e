import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { errorText } from "#chassis/log.ts";

/** The directory that a process keeps its state in, held by it alone. */
export interface DataDir {
  /** Absolute. */
  readonly path: string;
  /** Lets the next process have it. The end of the process, of whatever kind, does so too. */
  close(): void;
}

/**
 * Makes the directory where it is missing, readable by this user only, and locks it. Rejects, naming the directory,
 * where another process holds it. The lock is one of the kernel's on `lock.db`, so none is ever left behind by a crash.
 */
export async function openDataDir(path: string): Promise<DataDir> {
  const absolute = resolve(path);
  try {
    await mkdir(absolute, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(`the data directory ${absolute} cannot be made: ${errorText(error)}`, { cause: error });
  }
  const lock = takeLock(absolute);
  return { path: absolute, close: () => lock.close() };
}

function takeLock(directory: string): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(directory, "lock.db"), { timeout: 0 });
    lock.exec("pragma locking_mode = exclusive; begin exclusive");
    return lock;
  } catch (error) {
    lock?.close();
    const busy = /locked|busy/i.test(errorText(error));
    const why = busy ? "another Sluice process uses it" : errorText(error);
    throw new Error(`the data directory ${directory} cannot be used: ${why}`, { cause: error });
  }
}
