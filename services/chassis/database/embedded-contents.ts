import { connectDatabase, type Database } from "#chassis/database/database.ts";
import { startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import type { Logger } from "#chassis/log.ts";

/** What a database was found to hold. */
export interface EmbeddedContents {
  /** `18.3`, for example. */
  readonly postgres: string;
  readonly nextTransaction: bigint;
  readonly schemas: readonly { readonly name: string; readonly tables: number; readonly rows: number }[];
}

/**
 * Opens the embedded database of a data directory, which recovers it where it was not closed, reads every row of every
 * table, and closes it in good order. Rejects where it does not open or a table cannot be read. The caller holds the
 * directory's lock.
 */
export async function readEmbeddedContents(dataDir: string, log: Logger): Promise<EmbeddedContents> {
  const embedded = await startEmbeddedPostgres({ dataDir, log });
  try {
    const patience = { connectTimeoutMs: 60_000, statementTimeoutMs: 0 };
    const database = await connectDatabase({ url: embedded.url, schema: "public", entities: [], ...patience, log });
    try {
      return await contentsOf(database);
    } finally {
      await database.close();
    }
  } finally {
    await embedded.close();
  }
}

async function contentsOf(database: Database): Promise<EmbeddedContents> {
  const [state] = await database
    .em()
    .execute<[{ postgres: string; next: string }]>(
      "select current_setting('server_version') as postgres, pg_snapshot_xmax(pg_current_snapshot())::text as next",
    );
  const tables = await database
    .em()
    .execute<{ schema: string; name: string }[]>(
      "select schemaname as schema, tablename as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema') order by 1, 2",
    );
  const schemas = new Map<string, { name: string; tables: number; rows: number }>();
  for (const { schema, name } of tables) {
    const [row] = await database
      .em()
      .execute<[{ rows: string }]>(`select count(*)::text as rows from only ??.??`, [schema, name]);
    const found = schemas.get(schema) ?? { name: schema, tables: 0, rows: 0 };
    schemas.set(schema, { ...found, tables: found.tables + 1, rows: found.rows + Number(row.rows) });
  }
  return { postgres: state.postgres, nextTransaction: BigInt(state.next), schemas: [...schemas.values()] };
}
