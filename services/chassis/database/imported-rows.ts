import type { SqlEntityManager } from "@mikro-orm/postgresql";

/**
 * What becomes of a row that comes from another gateway. It is taken (`created`, `updated`), is here already
 * (`unchanged`), or is left: `occupied` is a row of the same id that was made here, `changed` and `deleted` say what was
 * done here, since the last import, to one that was taken then.
 */
export type ImportFate = "created" | "updated" | "unchanged" | "occupied" | "changed" | "deleted";

/** The table in which a service's schema remembers what it took: the version that its row had then. */
export function importedTable(schema: string): string {
  return `create table ${schema}.imported (
  kind text not null,
  id text not null,
  version int not null,
  primary key (kind, id)
)`;
}

/**
 * @param current The row of this id that is here, and whether it says the same as the one that comes.
 * @param taken The version that the row had when it was taken; undefined where it never was.
 */
export function importFate(
  current: { readonly version: number; readonly same: boolean } | undefined,
  taken: number | undefined,
): ImportFate {
  if (current === undefined) return taken === undefined ? "created" : "deleted";
  if (current.same) return "unchanged";
  if (taken === undefined) return "occupied";
  return taken === current.version ? "updated" : "changed";
}

/** The versions that rows of these ids had when they were taken. */
export async function readImported(
  em: SqlEntityManager,
  schema: string,
  kind: string,
  ids: readonly string[],
): Promise<Map<string, number>> {
  if (ids.length === 0) return new Map();
  const rows = await em.execute<{ id: string; version: number }[]>(
    `select id, version from ${schema}.imported where kind = ? and id in (${ids.map(() => "?").join(", ")})`,
    [kind, ...ids],
  );
  return new Map(rows.map(({ id, version }) => [id, version]));
}

/** Remembers rows as taken, in the transaction that writes them. */
export async function rememberImported(
  em: SqlEntityManager,
  schema: string,
  kind: string,
  versions: ReadonlyMap<string, number>,
): Promise<void> {
  if (versions.size === 0) return;
  await em.execute(
    `insert into ${schema}.imported (kind, id, version) values ${[...versions].map(() => "(?, ?, ?)").join(", ")}
     on conflict (kind, id) do update set version = excluded.version where imported.version <> excluded.version`,
    [...versions].flatMap(([id, version]) => [kind, id, version]),
  );
}
