import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationObject } from "@mikro-orm/core";
import { Migrator } from "@mikro-orm/migrations";
import { MikroORM, type Options, type SqlEntityManager } from "@mikro-orm/postgresql";
import type { Logger } from "#chassis/log.ts";

/** Sluice's own space of two-key advisory locks, so that other programs on the same server are not met. */
const lockSpace = 0x51_1ce;
const lockWaitMs = 300_000;
const lockPollMs = 100;

interface PinnedClient {
  query(sql: string, values: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  release(error?: Error): void;
}

interface MigrationPool {
  connect(): Promise<PinnedClient>;
}

export interface MigrateOptions {
  readonly connection: Options;
  readonly schema: string;
  readonly migrations: readonly MigrationObject[];
  /** Called under the lock, before anything is written. */
  readonly before: ((em: SqlEntityManager) => Promise<void>) | undefined;
  readonly log: Logger;
}

/**
 * Creates the schema and applies the migrations that it lacks. Processes that start together take turns by an advisory
 * lock on a connection of its own, which lives exactly as long as this function. Statements have no time limit here.
 */
export async function migrate(options: MigrateOptions): Promise<void> {
  const orm = await MikroORM.init({
    ...options.connection,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    migrations: {
      migrationsList: [...options.migrations],
      tableName: "migration",
      schema: options.schema,
      snapshot: false,
      disableForeignKeys: false,
    },
  });
  try {
    const pool: MigrationPool = await orm.em.getConnection().getNativeClient();
    const client = await pool.connect();
    try {
      await lock(client, options.schema);
      await options.before?.(orm.em.fork());
      await orm.em.execute(`create schema if not exists ${orm.em.getPlatform().quoteIdentifier(options.schema)}`);
      for (const applied of await orm.migrator.up()) {
        options.log.info("migration applied", { schema: options.schema, migration: applied.name });
      }
    } finally {
      client.release(new Error("closing the connection frees the lock"));
    }
  } finally {
    await orm.close(true);
  }
}

async function lock(client: PinnedClient, schema: string): Promise<void> {
  const deadline = Date.now() + lockWaitMs;
  for (;;) {
    const { rows } = await client.query(
      `select pg_try_advisory_lock(${lockSpace}, hashtext('sluice.${schema}')) as locked`,
      [],
    );
    if (rows[0]?.locked === true) return;
    if (Date.now() > deadline) throw new Error(`another process has been migrating the schema ${schema} for too long`);
    await sleep(lockPollMs);
  }
}
