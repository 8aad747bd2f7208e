import type { SqlEntityManager } from "@mikro-orm/postgresql";

type Bindable = string | number | bigint | boolean | null | Uint8Array | readonly (string | number | bigint | null)[];

/**
 * Runs one SQL statement with bound parameters (`$1`, `$2`, …) in the transaction of the entity manager, or else in one
 * of its own, and returns its rows. `bigint` columns come as strings, `timestamptz` too: select times as `double
 * precision`.
 *
 * Why always a transaction: the embedded database lets its connections take turns by transaction. Outside of one, the
 * messages of two statements with parameters (parse, bind, execute) mix in its single session, and they fail.
 */
export function rows<R>(em: SqlEntityManager, sql: string, parameters: readonly Bindable[] = []): Promise<R[]> {
  return em.isInTransaction() ? run(em, sql, parameters) : em.transactional((own) => run(own, sql, parameters));
}

async function run<R>(em: SqlEntityManager, sql: string, parameters: readonly Bindable[]): Promise<R[]> {
  const result = await em.getKysely<Record<string, never>>().executeQuery<R>({
    sql,
    parameters,
    query: { kind: "RawNode", sqlFragments: [sql], parameters: [] },
    queryId: { queryId: sql },
  });
  return result.rows;
}
