import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { errorText, type Logger } from "#chassis/log.ts";
import { Secret } from "#chassis/secret.ts";

/** What the worker thread is given. Without a socket path it only makes the database files and ends. */
export interface EmbeddedWorkerData {
  readonly dataDir: string;
  readonly socketPath: string | undefined;
  readonly fsync: boolean;
}

export interface EmbeddedPostgresOptions {
  /** Sluice's data directory; the caller holds its lock. The database lives in `postgres` below it. */
  readonly dataDir: string;
  /** A statement that runs longer takes the database down and up again, because nothing else stops it: one minute. */
  readonly hangTimeoutMs?: number;
  /** Whether every commit is on the disk before it is acknowledged: not where absent. */
  readonly fsync?: boolean;
  readonly log: Logger;
}

/** The embedded database. It is reached like any PostgreSQL, by its address. */
export interface EmbeddedPostgres {
  readonly url: Secret;
  /** Ends all connections, writes everything and frees the directory. Close the users' connections first. */
  close(): Promise<void>;
}

/** A Unix socket's path has at most 108 bytes on Linux and 104 on macOS, with the closing zero. */
const longestSocketPath = 103;
const socketName = ".s.PGSQL.5432";
/** Tells other processes of this user where the socket is. */
const addressName = "postgres.socket";
const closeTimeoutMs = 10_000;
const restartPauseMs = 500;

/**
 * Starts PGlite, which is PostgreSQL as WebAssembly, in a thread of its own behind a Unix socket that only this user can
 * reach. All connections share one session that takes turns by transaction: advisory locks exclude nobody, statement
 * timeouts of the server do not fire, and a transaction makes everybody else wait. A row that was acknowledged survives
 * the death of the process; without `fsync` a power cut may damage the files. A thread that dies or hangs is started again.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = join(options.dataDir, "postgres");
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const { fsync = false } = options;
  await initialize(dataDir);
  const socketDir = await makeSocketDir(options.dataDir);
  const socketPath = join(socketDir, socketName);
  const run = async () => {
    await rm(socketPath, { force: true });
    return startWorker({ dataDir, socketPath, fsync }, "listening");
  };
  const supervisor = supervise(await run(), run, options);
  await writeFile(join(options.dataDir, addressName), socketDir, { mode: 0o600 });
  return {
    url: addressOf(socketDir),
    async close() {
      await supervisor.stop();
      await rm(join(options.dataDir, addressName), { force: true });
      await rm(socketDir, { recursive: true, force: true });
    },
  };
}

/**
 * The address of the embedded database that another process runs in this data directory; undefined where none does. What
 * is there may be left over from a process that was killed: whoever holds the directory's lock does not ask.
 */
export async function runningEmbeddedPostgres(dataDir: string): Promise<Secret | undefined> {
  const socketDir = await readFile(join(dataDir, addressName), "utf8").catch(() => undefined);
  return socketDir === undefined || !existsSync(join(socketDir, socketName)) ? undefined : addressOf(socketDir);
}

function addressOf(socketDir: string): Secret {
  return new Secret(`postgresql://postgres@localhost/postgres?host=${encodeURIComponent(socketDir)}`);
}

/** Making the files takes three times the memory of using them, so a thread of its own does it and gives it back. */
async function initialize(dataDir: string): Promise<void> {
  if (existsSync(join(dataDir, "PG_VERSION"))) return;
  const fresh = `${dataDir}.new`;
  await rm(fresh, { recursive: true, force: true });
  const worker = await startWorker({ dataDir: fresh, socketPath: undefined, fsync: false }, "initialized");
  await worker.terminate();
  await rename(fresh, dataDir);
}

async function makeSocketDir(dataDir: string): Promise<string> {
  const inside = join(dataDir, "run");
  if (Buffer.byteLength(join(inside, socketName)) > longestSocketPath) return mkdtemp(join(tmpdir(), "sluice-"));
  await mkdir(inside, { recursive: true, mode: 0o700 });
  await chmod(inside, 0o700);
  return inside;
}

async function startWorker(workerData: EmbeddedWorkerData, ready: string): Promise<Worker> {
  const worker = new Worker(new URL("./embedded-worker.ts", import.meta.url), {
    workerData,
    name: "embedded-postgres",
    env: {},
    execArgv: [],
  });
  const { promise, resolve, reject } = Promise.withResolvers<Worker>();
  worker.on("message", (message: unknown) => message === ready && resolve(worker));
  worker.on("error", reject);
  worker.once("exit", () => reject(new Error("the embedded database ended at its start")));
  return promise;
}

function supervise(
  first: Worker,
  start: () => Promise<Worker>,
  { log, hangTimeoutMs = 60_000 }: EmbeddedPostgresOptions,
): { stop(): Promise<void> } {
  const state = { worker: first, closing: false };
  const restart = () => {
    if (state.closing) return;
    start().then(watch, (error) => {
      log.error("the embedded database does not start", { error: errorText(error) });
      setTimeout(restart, restartPauseMs).unref();
    });
  };
  const watch = (worker: Worker) => {
    state.worker = worker;
    const stopPinging = terminateWhenHung(worker, hangTimeoutMs, log);
    worker.on("error", (error) => log.error("the embedded database failed", { error: errorText(error) }));
    worker.once("exit", () => {
      stopPinging();
      setTimeout(restart, restartPauseMs).unref();
    });
  };
  watch(first);
  return {
    async stop() {
      state.closing = true;
      await closeWorker(state.worker);
    },
  };
}

/** The thread answers between two statements. Ending it in one is as safe as a kill: what was committed stays. */
function terminateWhenHung(worker: Worker, hangTimeoutMs: number, log: Logger): () => void {
  const state = { answeredAt: performance.now() };
  worker.on("message", (message: unknown) => {
    if (message === "pong") state.answeredAt = performance.now();
  });
  const timer = setInterval(() => {
    if (performance.now() - state.answeredAt > hangTimeoutMs) {
      log.error("the embedded database hangs and is started again", { hangTimeoutMs });
      void worker.terminate();
    }
    worker.postMessage("ping");
  }, hangTimeoutMs / 10).unref();
  return () => clearInterval(timer);
}

async function closeWorker(worker: Worker): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, closeTimeoutMs);
  worker.on("message", (message: unknown) => message === "closed" && resolve());
  worker.once("exit", resolve);
  worker.postMessage("close");
  await promise;
  clearTimeout(timer);
  await worker.terminate();
}
