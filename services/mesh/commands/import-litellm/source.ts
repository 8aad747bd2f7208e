import { setTimeout as sleep } from "node:timers/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import { IsolationLevel } from "@mikro-orm/core";
import { MikroORM, type SqlEntityManager } from "@mikro-orm/postgresql";
import { ConfigurationError } from "#chassis/environment.ts";
import { errorText } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";

/** LiteLLM's database as it was at one moment. Rows come as JSON: a column that its version does not have is absent. */
export interface Source {
  readonly tables: ReadonlySet<string>;
  /** All rows of a table, some at a time, in the order of their key. Nothing where there is no such table. */
  pages(table: string, key: readonly string[]): AsyncIterable<JsonObject[]>;
  /** The rows of a table in which a column has one of these values. */
  rowsOf(table: string, column: string, values: readonly unknown[]): Promise<JsonObject[]>;
  count(table: string): Promise<number>;
}

const closeTimeoutMs = 2000;
const pageSize = 500;
const prefix = "LiteLLM_";

/**
 * Reads LiteLLM's database in one transaction that can write nothing and sees nothing of what is written meanwhile.
 *
 * @throws ConfigurationError where it does not answer, or holds nothing of LiteLLM.
 */
export async function withSource<T>(url: Secret, work: (source: Source) => Promise<T>): Promise<T> {
  const address = URL.parse(url.reveal());
  if (address === null || !/^postgres(ql)?:$/.test(address.protocol) || address.pathname.length < 2) {
    throw new ConfigurationError("--database-url must have the form postgresql://user:password@host:port/database");
  }
  const schema = address.searchParams.get("schema") ?? "public";
  // Prisma's own parameters, which no other client knows.
  for (const name of ["schema", "connection_limit", "pool_timeout", "pgbouncer"]) address.searchParams.delete(name);
  const orm = await MikroORM.init({
    // Under the usual name, the databases of the gateway would join the transaction in which this one is read.
    contextName: "litellm",
    dbName: decodeURIComponent(address.pathname.slice(1)),
    pool: { min: 0, max: 1 },
    driverOptions: {
      connectionString: address.href,
      application_name: "sluice-import",
      connectionTimeoutMillis: 10_000,
    },
    entities: [],
    discovery: { warnWhenNoEntities: false },
    ensureDatabase: false,
  });
  try {
    await answering(orm.em.fork());
    return await orm.em.fork().transactional(async (em) => work(await openSource(em, schema)), {
      isolationLevel: IsolationLevel.REPEATABLE_READ,
      readOnly: true,
    });
  } finally {
    // Closing waits for a connection that was lost within its transaction, for ever.
    await Promise.race([orm.close(true), sleep(closeTimeoutMs)]);
  }
}

async function answering(em: SqlEntityManager): Promise<void> {
  try {
    await em.execute("select 1");
  } catch (error) {
    throw new ConfigurationError(`LiteLLM's database cannot be opened: ${errorText(error)}`);
  }
}

async function openSource(em: SqlEntityManager, schema: string): Promise<Source> {
  const found = await em.execute<{ table_name: string }[]>(
    "select table_name from information_schema.tables where table_schema = ? and table_type = 'BASE TABLE'",
    [schema],
  );
  const tables = new Set(found.flatMap(({ table_name: name }) => (name.startsWith(prefix) ? name : [])));
  if (!tables.has("LiteLLM_VerificationToken")) {
    throw new ConfigurationError(`The database at --database-url has no tables of LiteLLM in its schema ${schema}.`);
  }
  const from = (table: string) => `${quoted(schema)}.${quoted(table)} t`;
  return {
    tables,
    async *pages(table, key) {
      if (!tables.has(table)) return;
      const columns = key.map((name) => `t.${quoted(name)}`).join(", ");
      let after: readonly unknown[] | undefined;
      for (;;) {
        const where = after === undefined ? "" : `where (${columns}) > (${key.map(() => "?").join(", ")})`;
        const rows = await em.execute<{ row: JsonObject }[]>(
          `select to_jsonb(t) as row from ${from(table)} ${where} order by ${columns} limit ${pageSize}`,
          [...(after ?? [])],
        );
        if (rows.length > 0) yield rows.map(({ row }) => row);
        const last = rows.at(-1)?.row;
        if (last === undefined || rows.length < pageSize) return;
        after = key.map((name) => last[name]);
      }
    },
    async rowsOf(table, column, values) {
      if (!tables.has(table) || values.length === 0) return [];
      const rows = await em.execute<{ row: JsonObject }[]>(
        `select to_jsonb(t) as row from ${from(table)}
         where t.${quoted(column)} in (${values.map(() => "?").join(", ")}) order by t.ctid`,
        [...values],
      );
      return rows.map(({ row }) => row);
    },
    async count(table) {
      const [row] = await em.execute<{ n: string }[]>(`select count(*) as n from ${from(table)}`);
      return Number(row?.n ?? 0);
    },
  };
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
