import { constants, existsSync } from "node:fs";
import { copyFile, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { connectDatabase } from "#chassis/database/database.ts";
import type { Logger } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";

export interface EmbeddedCopyOptions {
  /** The directory with the embedded database's files. */
  readonly from: string;
  /** A directory that does not exist yet. */
  readonly to: string;
  /** Where the database is open; undefined where it is closed and stays so. */
  readonly url: Secret | undefined;
  readonly log: Logger;
}

export interface EmbeddedCopy {
  /** How long the database's other users waited. */
  readonly heldMs: number;
  /** The number of the next transaction at the moment of the copy: a copy that is whole has come as far. */
  readonly nextTransaction: bigint;
}

/** A file whose last change is younger than this may change again without a trace in its times. */
const clockMarginNs = 1_000_000_000n;

/**
 * Copies the files of the embedded database as they are between two transactions: what a killed process leaves, from which
 * PostgreSQL recovers. All files are copied while the database is in use, and those that changed meanwhile a second time
 * while a transaction of ours keeps everybody else waiting.
 */
export async function copyEmbedded(options: EmbeddedCopyOptions): Promise<EmbeddedCopy> {
  const { from, to, url, log } = options;
  const copied = new Map<string, string | undefined>();
  if (url === undefined) {
    await copyChanged(from, to, copied);
    return { heldMs: 0, nextTransaction: 0n };
  }
  const patience = { connectTimeoutMs: 60_000, statementTimeoutMs: 0 };
  const database = await connectDatabase({ url, schema: "public", entities: [], ...patience, log });
  try {
    await database.em().execute("checkpoint");
    await copyChanged(from, to, copied);
    return await database.transaction(async (em) => {
      const [row] = await em.execute<[{ next: string }]>(
        "select pg_snapshot_xmax(pg_current_snapshot())::text as next",
      );
      const since = performance.now();
      await copyChanged(from, to, copied);
      // Fails where the database went down, and perhaps up again, under our hands.
      await em.execute("select 1");
      return { heldMs: performance.now() - since, nextTransaction: BigInt(row.next) };
    });
  } finally {
    await database.close();
  }
}

/** Makes `to` like `from`. A file stays as it is that was `copied` before and has not changed since. */
async function copyChanged(from: string, to: string, copied: Map<string, string | undefined>): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const paths = new Set(entries.map((entry) => relative(from, join(entry.parentPath, entry.name))));
  for (const path of copied.keys()) if (!paths.has(path)) await rm(join(to, path), { force: true });
  for (const entry of entries) {
    const path = relative(from, join(entry.parentPath, entry.name));
    if (entry.isDirectory()) await mkdir(join(to, path), { recursive: true, mode: 0o700 });
    else await copyWhenChanged(join(from, path), join(to, path), path, copied);
  }
}

/** A file that PostgreSQL removes while we read is not missed. */
async function copyWhenChanged(
  from: string,
  to: string,
  path: string,
  copied: Map<string, string | undefined>,
): Promise<void> {
  try {
    const state = await stateOf(from);
    if (state !== undefined && copied.get(path) === state) return;
    copied.set(path, state);
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  } catch (error) {
    if (existsSync(from)) throw error;
  }
}

/** Tells one content of a file from the next; undefined for one that has just changed. */
async function stateOf(file: string): Promise<string | undefined> {
  const { ino, size, ctimeNs } = await stat(file, { bigint: true });
  const now = BigInt(Date.now()) * 1_000_000n;
  return now - ctimeNs < clockMarginNs ? undefined : `${ino} ${size} ${ctimeNs}`;
}
