import type { PgClient, PgPool } from "#chassis/database/hung-query-guard.ts";

/** What is needed of the driver's pool beyond its events. */
export interface WatchedPool extends PgPool {
  connect(...args: unknown[]): unknown;
  readonly options: object;
  readonly Client: new (options: object) => ProbeClient;
}

interface ProbeClient {
  connect(): Promise<unknown>;
  query(sql: string): Promise<unknown>;
  on(event: "error", listener: () => void): unknown;
  readonly connection: { readonly stream: { destroy(): void } };
}

/** How long something waits before the server is asked for a sign of life, how long that may take, and the pause after. */
const patienceMs = 800;
const probeMs = 1800;
const pauseMs = 300;

/** Carries a code that `databaseError` knows. */
class ServerSilent extends Error {
  readonly code = "ETIMEDOUT";
}

/**
 * Notices within three seconds that a server is frozen or gone without a word, however long a statement may take:
 * whoever waits longer than a moment has the server asked for a sign of life, on a connection of its own. A server that is
 * only slow gives one, and the wait goes on. One that gives none fails everything that waits, and everything
 * that comes, until it answers again.
 */
export class OutageWatch {
  #probe: (() => Promise<boolean>) | undefined;
  #asked: Promise<boolean> | undefined;
  #away: NodeJS.Timeout | undefined;
  #stopped = false;

  /** Watches a pool: waiting for a connection, and every statement. Call it once, before the pool is used. */
  watch(pool: WatchedPool): void {
    this.#probe = () => isAlive(pool);
    const connect = pool.connect.bind(pool);
    pool.connect = (...args) => {
      if (this.#away !== undefined && args.length === 0) return Promise.reject(silent());
      const result = connect(...args);
      if (!(result instanceof Promise)) return result;
      return this.#within(result, () => void result.then(release, ignore));
    };
    pool.on("connect", (client: PgClient) => {
      const query = client.query.bind(client);
      client.query = (...args: unknown[]) => {
        const result = query(...args);
        if (!(result instanceof Promise)) return result;
        return this.#within(result, () => client.connection.stream.destroy());
      };
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#away);
  }

  /** The work, unless the server falls silent meanwhile. */
  #within<T>(work: Promise<T>, giveUp: () => void): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const state = { settled: false, timer: undefined as NodeJS.Timeout | undefined };
    const suspect = async () => {
      if ((await this.#isAlive()) || state.settled) {
        if (!state.settled) state.timer = setTimeout(suspect, patienceMs);
        return;
      }
      giveUp();
      reject(silent());
    };
    const settle = () => {
      state.settled = true;
      clearTimeout(state.timer);
    };
    state.timer = setTimeout(suspect, patienceMs);
    work.finally(settle).then(resolve, reject);
    return promise;
  }

  /** Those who suspect at the same time share one question. */
  #isAlive(): Promise<boolean> {
    if (this.#probe === undefined || this.#stopped) return Promise.resolve(true);
    this.#asked ??= this.#probe().then((alive) => {
      this.#asked = undefined;
      clearTimeout(this.#away);
      this.#away = undefined;
      if (!alive && !this.#stopped) this.#away = setTimeout(() => void this.#isAlive(), pauseMs).unref();
      return alive;
    });
    return this.#asked;
  }
}

/** Whether the server says anything at all: an error is a sign of life too. Never rejects. */
async function isAlive({ Client, options }: WatchedPool): Promise<boolean> {
  const client = new Client({ ...options, connectionTimeoutMillis: 0 });
  client.on("error", ignore);
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), probeMs);
  const answer = client
    .connect()
    .then(() => client.query("select 1"))
    .then(
      () => true,
      (error: unknown) => isServersWord(error),
    );
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
    client.connection.stream.destroy();
  }
}

/** An error of the server says how severe it is; one of the network does not. */
function isServersWord(error: unknown): boolean {
  return error instanceof Error && "severity" in error;
}

function silent(): ServerSilent {
  return new ServerSilent("the database server gives no sign of life");
}

function release(client: unknown): void {
  if (typeof client === "object" && client !== null && "release" in client && typeof client.release === "function") {
    client.release(true);
  }
}

function ignore(): void {}
