import type { Database } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { EventBus, Unsubscribe } from "#chassis/events/bus.ts";
import type { Keyring } from "#chassis/keyring.ts";
import { errorText } from "#chassis/log.ts";
import type { Sealer } from "#chassis/sealing.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { DeploymentsChangedSchema } from "#gen/sluice/router/v1/model_pb.ts";
import type { RouterEvents } from "../events.ts";
import type { LiveModels } from "./live-models.ts";
import { readStoredModels } from "./stored-models.ts";

export interface ModelSyncOptions {
  /** Opens the router's schema; rejects where it cannot be reached now. Undefined where the router has no database. */
  readonly open: (() => Promise<Database>) | undefined;
  readonly live: LiveModels;
  /** Opens what is stored: models are read once it is open. */
  readonly keyring: Keyring;
  readonly events: EventBus;
  readonly telemetry: RouterEvents;
  /** How often the database is asked whether something has changed, for events that were lost, in milliseconds. */
  readonly pollMs: number;
  /** How long a start waits for the database. */
  readonly patienceMs: number;
}

/**
 * Keeps the models of a router as those of the database: reads them at the start, whenever somebody says that they have
 * changed, and every few seconds. While the database is away, what was read last stays in use.
 */
export class ModelSync {
  readonly #options: ModelSyncOptions;
  readonly #unsubscribe: Unsubscribe;
  #database: Database | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #away = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ModelSyncOptions) {
    this.#options = options;
    this.#unsubscribe = options.events.subscribe(DeploymentsChangedSchema, ({ revision }) => {
      if (revision > options.live.stored.revision) void this.refresh();
    });
  }

  /** Resolves when the models are there, or when the database lets them wait for too long. */
  async start(): Promise<void> {
    if (this.#options.open === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#options.patienceMs);
    await Promise.race([this.refresh(), promise]);
    clearTimeout(timer);
  }

  /** The router's database. @throws UNAVAILABLE where it is not open. */
  get database(): Database {
    if (this.#database !== undefined) return this.#database;
    throw this.#notOpen();
  }

  /** The sealer of what is stored. @throws UNAVAILABLE where the database or the keyring is not open. */
  get sealer(): Sealer {
    const { keyring } = this.#options;
    if (this.#database !== undefined && keyring.isOpen) return keyring;
    throw this.#notOpen();
  }

  #notOpen(): Error {
    const isThere = this.#options.open !== undefined;
    const what = isThere ? "The database is not open yet." : "This router has no database: set DATABASE_URL.";
    return gatewayError(Reason.UNAVAILABLE, what, { retryAfterMs: 1000 });
  }

  /** Reads what has changed until now. Never rejects: where it fails, it is tried again. */
  async refresh(): Promise<void> {
    if (this.#closed || this.#options.open === undefined) return;
    this.#again = true;
    this.#running ??= this.#run();
    await this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#unsubscribe();
    // A database that is still being opened may take its time; nobody waits for it.
    if (this.#database !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        await this.#read();
      }
    } finally {
      this.#running = undefined;
      if (!this.#closed) this.#timer = setTimeout(() => void this.refresh(), this.#options.pollMs).unref();
    }
  }

  async #read(): Promise<void> {
    const { open, live, keyring, telemetry } = this.#options;
    try {
      this.#database ??= await open?.();
      if (this.#database === undefined || this.#closed) return;
      if (!keyring.isOpen) await keyring.refresh();
      live.useStored(await readStoredModels(this.#database, live.stored));
      if (this.#away) telemetry.modelsReadable();
      this.#away = false;
    } catch (error) {
      if (!this.#away) telemetry.modelsUnreadable(errorText(error));
      this.#away = true;
    }
  }
}
