import { closeSync, fsyncSync, openSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { NodeFS } from "@electric-sql/pglite/nodefs";

type Module = Parameters<NonNullable<Parameters<NodeFS["init"]>[1]["preRun"]>[number]>[0];

/** PostgreSQL's parameters under which it writes to the disk at every commit; PGlite's own say `-F`, which is never. */
export const syncedParams: readonly string[] = ["-c", "fsync=on", "-c", "wal_sync_method=fsync"];

/**
 * PGlite's files, written to the disk where PostgreSQL asks for it. By itself PGlite lets the request pass and does
 * nothing: its file system over Node's has no such operation, so it is added
 * (https://github.com/electric-sql/pglite/issues/1107).
 */
export class SyncedFiles extends NodeFS {
  readonly #sync: (descriptor: number) => void;

  constructor(dataDir: string, sync: (descriptor: number) => void = fsyncSync) {
    super(dataDir);
    this.#sync = sync;
  }

  override async init(...given: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const { emscriptenOpts } = await super.init(...given);
    const preRun = emscriptenOpts.preRun ?? [];
    const add = ({ FS }: Module) => addSync(FS.filesystems.NODEFS, this.#sync);
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...preRun, add] } };
  }
}

function addSync(files: object, sync: (descriptor: number) => void): void {
  const operations: unknown = Reflect.get(files, "stream_ops");
  if (typeof operations !== "object" || operations === null) throw new Error("PGlite's files cannot be synced");
  Object.assign(operations, {
    /** `nfd`: the file's descriptor at the host; directories have none. */
    fsync: ({ nfd }: { readonly nfd?: number }): number => {
      if (nfd !== undefined) sync(nfd);
      return 0;
    },
  });
}

/** Writes what lies in a directory to the disk, and the directory's own name: what earlier runs have left to the system. */
export function syncTree(directory: string): void {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() || entry.isDirectory()) syncPath(join(entry.parentPath, entry.name));
  }
  syncPath(directory);
  syncPath(dirname(directory));
}

function syncPath(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
