import type { MigrationObject } from "@mikro-orm/core";
import { MikroORM, type Options, type SqlEntityManager } from "@mikro-orm/postgresql";
import { auditSchema } from "#chassis/audit/schema.ts";
import { readDatabaseAddress } from "#chassis/database/address.ts";
import { guardAgainstHungQueries } from "#chassis/database/hung-query-guard.ts";
import { migrate } from "#chassis/database/migrate.ts";
import { OutageWatch, type WatchedPool } from "#chassis/database/outage-watch.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { Logger } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

export { databaseError, isUniqueViolation } from "#chassis/database/database-error.ts";

/** The database of one service: one PostgreSQL schema that no other service reads. */
export interface Database {
  /** A fresh entity manager with an identity map of its own. Make one per request. */
  em(): SqlEntityManager;
  /**
   * Runs the work in one transaction on a fresh entity manager, commits when it resolves and rolls back when it
   * rejects. Errors come as the driver threw them; `databaseError` turns them into what a peer may see.
   */
  transaction<T>(work: (em: SqlEntityManager) => Promise<T>): Promise<T>;
  /** Whether the database answers now. Resolves within two seconds and never rejects. */
  ping(): Promise<boolean>;
  /** Closes all connections. Statements in flight may finish for five seconds; later use is UNAVAILABLE. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** `postgresql://user:password@host:port/database`, or with `?host=/directory` for a Unix socket. */
  readonly url: Secret;
  /** The service's PostgreSQL schema; created if missing. A lower-case word. */
  readonly schema: string;
  readonly entities: NonNullable<Options["entities"]>;
  /** In the order in which they apply, each with the name under which it is remembered. */
  readonly migrations: readonly MigrationObject[];
  /** Looks at the database before anything is written to it, the schema included. What it throws ends the opening. */
  readonly before?: (em: SqlEntityManager) => Promise<void>;
  /** Whether its changes are recorded in the audit, whose schema is then there before its own. */
  readonly audited?: boolean;
  readonly poolSize?: number;
  /** Limit of opening a connection or of waiting for a free one of the pool. */
  readonly connectTimeoutMs?: number;
  /** Limit of one statement. The server cancels it; if the server does not even answer, the connection is dropped. */
  readonly statementTimeoutMs?: number;
  /**
   * Whether whoever waits is told within three seconds that the server is frozen, instead of after its limit. Not for the
   * embedded server, which runs one statement at a time: a slow one would look like silence.
   */
  readonly watched?: boolean;
  readonly log: Logger;
}

const pingTimeoutMs = 2000;
const closeTimeoutMs = 5000;

/**
 * Opens a service's database: checks the address, applies the service's migrations and returns. Rejects where the
 * database cannot be reached now; afterwards lost connections are replaced by new ones as they are needed.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  if (!/^[a-z][a-z0-9_]*$/.test(options.schema)) throw new Error(`not a schema name: ${options.schema}`);
  const { log, before } = options;
  for (const { schema, migrations } of options.audited === true ? [auditSchema, options] : [options]) {
    await migrate({ connection: connectionOptions({ ...options, schema }, 2, 0), schema, migrations, before, log });
  }
  return connectDatabase(options);
}

/** A database as it is: nothing is migrated, and nothing is asked of it before its first use. */
export async function connectDatabase(options: Omit<DatabaseOptions, "migrations">): Promise<Database> {
  const watch = new OutageWatch();
  const own = connectionOptions(options, options.poolSize ?? 10, options.statementTimeoutMs ?? 30_000);
  const orm = await MikroORM.init({
    ...own,
    ...(options.watched === true ? { driverOptions: { ...own.driverOptions, onPoolCreated: guarded(watch) } } : {}),
    entities: options.entities,
    discovery: { warnWhenNoEntities: false },
  });
  const state = { closed: false };
  const fork = () => {
    if (state.closed) throw gatewayError(Reason.UNAVAILABLE, "The database is closed: the process shuts down.");
    return orm.em.fork();
  };
  return {
    em: fork,
    transaction: async (work) => fork().transactional(work),
    async ping() {
      if (state.closed) return false;
      const answer = fork().execute("select 1");
      return within(
        pingTimeoutMs,
        answer.then(
          () => true,
          () => false,
        ),
        false,
      );
    },
    async close() {
      state.closed = true;
      watch.stop();
      await within(closeTimeoutMs, orm.close(true), undefined);
    },
  };
}

function connectionOptions(
  options: Omit<DatabaseOptions, "migrations">,
  poolSize: number,
  statementTimeoutMs: number,
): Options {
  const { log, schema } = options;
  const { name, connectionString } = readDatabaseAddress(options.url);
  return {
    dbName: name,
    schema,
    pool: { min: 0, max: poolSize, idleTimeoutMillis: 60_000 },
    driverOptions: {
      connectionString,
      application_name: `sluice-${schema}`,
      connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
      keepAlive: true,
      allowExitOnIdle: true,
      ...(statementTimeoutMs > 0
        ? { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + 2000 }
        : {}),
      onPoolCreated: guardAgainstHungQueries,
    },
    metadataCache: { enabled: false },
    ensureDatabase: false,
    debug: ["info"],
    colors: false,
    logger: (message) => (/error/i.test(message) ? log.warn : log.debug)("database", { schema, detail: message }),
  };
}

function guarded(watch: OutageWatch) {
  return (pool: WatchedPool) => {
    guardAgainstHungQueries(pool);
    watch.watch(pool);
  };
}

async function within<T>(timeoutMs: number, work: Promise<T>, otherwise: T): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>();
  const timer = setTimeout(() => resolve(otherwise), timeoutMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
