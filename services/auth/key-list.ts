import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { permittedTeams, readsEverything } from "./key-rights.ts";
import { containing, type Page } from "./page.ts";

/** A condition of SQL with its bound values. */
export interface Condition {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** A table of keys, and how its rows tell what they are searched by. */
export interface KeyTable {
  readonly table: string;
  readonly id: string;
  column(name: KeyColumn): string;
}

export type KeyColumn =
  | "key_id"
  | "key_name"
  | "key_alias"
  | "user_id"
  | "team_id"
  | "organization_id"
  | "project_id"
  | "created_by"
  | "created_at"
  | "updated_at"
  | "expires_at"
  | "doc";

export const liveKeys: KeyTable = { table: "auth.virtual_key", id: "key_id", column: (name) => name };

/** A deleted key is kept as the JSON of its row. */
export const deletedKeys: KeyTable = {
  table: "auth.deleted_key",
  id: "id",
  column(name) {
    if (name === "key_id") return name;
    const member = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    return name === "doc" ? "(row -> 'doc')" : `(row ->> '${member}')`;
  },
};

export function equal(column: string, value: string): Condition {
  return { sql: `${column} = ?`, values: [value] };
}

export function like(column: string, text: string): Condition {
  return { sql: `${column} ilike ?`, values: [containing(text)] };
}

export function oneOf(column: string, values: readonly string[]): Condition {
  return values.length === 0
    ? { sql: "false", values: [] }
    : { sql: `${column} in (${values.map(() => "?").join(", ")})`, values };
}

export function anyOf(conditions: readonly Condition[]): Condition {
  return {
    sql: `(${conditions.map(({ sql }) => sql).join(" or ")})`,
    values: conditions.flatMap(({ values }) => values),
  };
}

/** Teams and organizations all of whose keys a caller sees in lists. */
export async function listedPlaces(
  em: SqlEntityManager,
  caller: AdminCaller,
  keys: KeyTable,
): Promise<readonly Condition[]> {
  const permitted = await permittedTeams(em, caller, "list");
  return [
    oneOf(keys.column("team_id"), [...caller.adminTeamIds, ...permitted]),
    oneOf(keys.column("organization_id"), caller.adminOrganizationIds),
  ];
}

/** Undefined where the caller sees every key; else the conditions of which one has to hold. */
export function ownKeys(caller: AdminCaller, keys: KeyTable): readonly Condition[] | undefined {
  if (readsEverything(caller)) return undefined;
  return caller.userId === ""
    ? [equal(keys.column("key_id"), caller.keyId)]
    : [equal(keys.column("user_id"), caller.userId)];
}

/** One page of what all conditions hold for, and how many there are on all pages. */
export async function readKeyPage(
  em: SqlEntityManager,
  { table }: KeyTable,
  select: string,
  all: readonly Condition[],
  order: string,
  page: Page,
): Promise<{ readonly found: readonly string[]; readonly total: number }> {
  const where = all.length === 0 ? "true" : all.map(({ sql }) => sql).join(" and ");
  const values = all.flatMap((each) => each.values);
  const [[counted], rows] = await Promise.all([
    em.execute(`select count(*)::int as total from ${table} where ${where}`, values),
    em.execute(`select ${select} as found from ${table} where ${where} order by ${order} limit ? offset ?`, [
      ...values,
      page.limit,
      page.offset,
    ]),
  ]);
  return { found: rows.map(({ found }) => String(found)), total: Number(counted?.total ?? 0) };
}
