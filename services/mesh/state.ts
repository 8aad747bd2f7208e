import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { type DataDir, openDataDir } from "#chassis/data-dir.ts";
import { type Database, type DatabaseOptions, databaseError, openDatabase } from "#chassis/database/database.ts";
import { runningEmbeddedPostgres, startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import { copyEmbedded, type EmbeddedCopy } from "#chassis/database/embedded-copy.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { NatsBus } from "#chassis/events/nats.ts";
import { errorText, type Logger } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";
import type { MeshConfig } from "./config.ts";

type Schema = Pick<DatabaseOptions, "schema" | "entities" | "migrations" | "before" | "audited">;

const databasePatienceMs = 60_000;
const databaseRetryMs = 1000;

/** What outlives a call: the data directory, the databases of the hosted services, and the bus. */
export class State {
  readonly events: EventBus;
  readonly #config: MeshConfig;
  readonly #log: Logger;
  readonly #dataDir: DataDir | undefined;
  readonly #databases: Database[] = [];
  #closed = false;
  #embedded: { readonly url: Secret; close(): Promise<void> } | undefined;

  private constructor(config: MeshConfig, log: Logger, dataDir: DataDir | undefined) {
    this.#config = config;
    this.#log = log;
    this.#dataDir = dataDir;
    const name = [...config.services].join("+");
    this.events =
      config.natsUrl === undefined
        ? createInProcessBus(log)
        : new NatsBus({ url: config.natsUrl, token: config.natsToken, replicas: config.natsReplicas, name, log });
  }

  static async open(config: MeshConfig, log: Logger): Promise<State> {
    const keepsFiles = config.services.has("router") || (config.databaseUrl === undefined && holdsRows(config));
    try {
      return new State(config, log, keepsFiles ? await openDataDir(config.dataDir) : undefined);
    } catch (error) {
      throw new ConfigurationError(errorText(error));
    }
  }

  /**
   * For a command that works on what a gateway stores, which may be running: an embedded database that is open in the
   * gateway's process is reached there, else it is opened here.
   */
  static async openBeside(config: MeshConfig, log: Logger): Promise<State> {
    if (config.databaseUrl !== undefined) return new State(config, log, undefined);
    try {
      return new State(config, log, await openDataDir(config.dataDir));
    } catch (error) {
      const url = await runningEmbeddedPostgres(config.dataDir);
      if (url === undefined) throw new ConfigurationError(errorText(error));
      const state = new State(config, log, undefined);
      state.#embedded = { url, close: async () => {} };
      return state;
    }
  }

  /** Opens a service's schema. Waits for a database that does not answer yet; a wrong address or password ends it. */
  async database(options: Schema): Promise<Database> {
    const deadline = performance.now() + databasePatienceMs;
    for (;;) {
      try {
        return await this.databaseNow(options);
      } catch (error) {
        if (error instanceof ConfigurationError) throw error;
        const away = databaseError(error).code === Code.Unavailable && performance.now() < deadline;
        if (!away) throw new ConfigurationError(`The database cannot be opened: ${errorText(error)}`);
        this.#log.warn("the database does not answer, trying on", { error: errorText(error) });
        await sleep(databaseRetryMs);
      }
    }
  }

  /** The same without waiting: rejects where the database does not answer now. */
  async databaseNow(options: Schema): Promise<Database> {
    const { url, watched } = await this.databaseAddress();
    const poolSize = this.#config.databasePoolSize;
    const database = await openDatabase({ ...options, url, poolSize, watched, log: this.#log });
    if (this.#closed) await database.close();
    else this.#databases.push(database);
    return database;
  }

  /** Where the database is, and whether it is watched: a thread of this process opens it for itself. */
  async databaseAddress(): Promise<{ readonly url: Secret; readonly watched: boolean }> {
    const { databaseUrl } = this.#config;
    return { url: databaseUrl ?? (await this.#embed()), watched: databaseUrl !== undefined };
  }

  /** Whether there is a database for whoever can do without one: a process by itself embeds none for that. */
  get hasDatabase(): boolean {
    return this.#config.databaseUrl !== undefined || holdsRows(this.#config);
  }

  /** Whether every open database answers; undefined where this process has none. */
  async healthy(): Promise<boolean | undefined> {
    if (this.#databases.length === 0) return undefined;
    const answers = await Promise.all(this.#databases.map((database) => database.ping()));
    return answers.every(Boolean);
  }

  /** Copies the embedded database, wherever it is open, to a directory that does not exist yet. */
  async copyEmbedded(to: string): Promise<EmbeddedCopy> {
    const from = join(this.#config.dataDir, "postgres");
    return copyEmbedded({ from, to, url: this.#embedded?.url, log: this.#log });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.events.close();
    await Promise.all(this.#databases.map((database) => database.close()));
    await this.#embedded?.close();
    this.#dataDir?.close();
  }

  async #embed(): Promise<Secret> {
    const { dataDir, embeddedFsync: fsync } = this.#config;
    this.#embedded ??= await startEmbeddedPostgres({ dataDir, fsync, log: this.#log });
    return this.#embedded.url;
  }
}

function holdsRows({ services }: MeshConfig): boolean {
  return services.has("auth") || services.has("accounting");
}
