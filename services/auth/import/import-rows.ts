import { isDeepStrictEqual } from "node:util";
import { LockMode, type RequiredEntityData } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { recordImport } from "#chassis/audit/import.ts";
import type { Database } from "#chassis/database/database.ts";
import { type ImportFate, importFate, readImported, rememberImported } from "#chassis/database/imported-rows.ts";
import { RetiredKey } from "../db/entities.ts";
import { noteScopes } from "../outbox.ts";
import { scopeOf } from "../scope.ts";
import type { ImportKind } from "./import-kind.ts";

/** What every row says of its making and changing. */
interface Authorship {
  createdAt: Date;
  createdBy: string;
  updatedAt: Date;
  updatedBy: string;
  version: number;
}

/** What became of a row. */
export interface ImportOutcome {
  readonly scope: string;
  readonly fate: ImportFate;
  /** Fields whose value somebody else has already, and that were left out. */
  readonly taken: readonly string[];
}

/** Columns that say nothing about the thing itself. */
const authorship: ReadonlySet<string> = new Set(["createdAt", "createdBy", "updatedAt", "updatedBy", "version"]);

/**
 * Takes rows of one kind from another gateway, all of them in one transaction, together with the notes of whom to tell.
 * The same rows again change nothing. A row that was changed or deleted here since it was taken is left as it is, and so
 * is one that was never taken from there. Where `dryRun`, it only says what would become of them.
 *
 * @returns what became of each row, in their order.
 */
export async function importRows<Row extends Authorship>(
  database: Database,
  kind: ImportKind<Row>,
  incoming: readonly Row[],
  dryRun: boolean,
): Promise<ImportOutcome[]> {
  if (incoming.length === 0) return [];
  return database.transaction(async (em) => {
    if (!dryRun) await recordImport(em);
    const lockMode = dryRun ? LockMode.NONE : LockMode.PESSIMISTIC_WRITE;
    const found = (await em.find(kind.entity, kind.where(incoming), { lockMode })) as Row[];
    const current = new Map(found.map((row) => [kind.scopeOf(row), row]));
    const taken = await readImported(em, "auth", kind.name, incoming.map(kind.scopeOf));
    const fitted = await withoutTakenValues(em, kind, incoming);
    const outcomes = fitted.map(({ row, fields }): ImportOutcome => {
      const scope = kind.scopeOf(row.own);
      const here = current.get(scope);
      const known = here && { version: here.version, same: isSame(here, row.own) };
      const fate = row.fits ? importFate(known, taken.get(scope)) : "occupied";
      return { scope, fate, taken: fields };
    });
    if (!dryRun) await write(em, kind, fitted, outcomes, current);
    return outcomes;
  });
}

async function write<Row extends Authorship>(
  em: SqlEntityManager,
  kind: ImportKind<Row>,
  fitted: readonly Fitted<Row>[],
  outcomes: readonly ImportOutcome[],
  current: ReadonlyMap<string, Row>,
): Promise<void> {
  const versions = new Map<string, number>();
  const inserted: Row[] = [];
  for (const [at, { scope, fate }] of outcomes.entries()) {
    const row = fitted[at]?.row.own;
    const here = current.get(scope);
    if (row === undefined) continue;
    if (fate === "created") {
      inserted.push(row);
      versions.set(scope, row.version);
    } else if (fate === "updated" && here !== undefined) {
      const { createdAt: _, createdBy: __, ...content } = row;
      Object.assign(here, content, { version: here.version + 1 });
      versions.set(scope, here.version);
    }
  }
  await em.flush();
  await em.insertMany(kind.entity, inserted as RequiredEntityData<Row>[]);
  await rememberImported(em, "auth", kind.name, versions);
  const others = fitted.flatMap(({ row: { own } }) =>
    versions.has(kind.scopeOf(own)) ? (kind.alsoChanged?.(own) ?? []) : [],
  );
  if (versions.size > 0) await noteScopes(em, [...new Set([...versions.keys(), ...others])]);
}

function isSame<Row extends Authorship>(here: Row, row: Row): boolean {
  const columns = new Map<string, unknown>(Object.entries(here));
  return Object.entries(row).every(
    ([name, value]) => authorship.has(name) || isDeepStrictEqual(columns.get(name), value),
  );
}

interface Fitted<Row> {
  readonly row: { readonly own: Row; readonly fits: boolean };
  readonly fields: readonly string[];
}

/** The rows without values that another row has, here or before them; a row that cannot be without does not fit. */
async function withoutTakenValues<Row extends Authorship>(
  em: SqlEntityManager,
  kind: ImportKind<Row>,
  rows: readonly Row[],
): Promise<Fitted<Row>[]> {
  let fitted = rows.map((own): Fitted<Row> => ({ row: { own, fits: true }, fields: [] }));
  for (const unique of kind.unique ?? []) {
    const values = rows.flatMap((row) => unique.valueOf(row) ?? []);
    const owners = await ownersOf(em, kind, unique.sql, values);
    fitted = fitted.map((each) => {
      const { own } = each.row;
      const value = unique.valueOf(own);
      if (value === null) return each;
      const owner = owners.get(value);
      if (owner === undefined) owners.set(value, kind.scopeOf(own));
      if (owner === undefined || owner === kind.scopeOf(own)) return each;
      const without = unique.without(own);
      return { row: { own: without ?? own, fits: without !== undefined }, fields: [...each.fields, unique.field] };
    });
  }
  return fitted;
}

async function ownersOf<Row extends Authorship>(
  em: SqlEntityManager,
  kind: ImportKind<Row>,
  sql: string,
  values: readonly string[],
): Promise<Map<string, string>> {
  if (values.length === 0) return new Map();
  const { tableName, primaryKeys } = em.getMetadata().get(kind.entity);
  const [id] = primaryKeys.map((name) => em.getMetadata().get(kind.entity).properties[name].fieldNames[0]);
  const rows = await em.execute<{ id: string; value: string }[]>(
    `select ${id} as id, ${sql} as value from auth.${tableName} where ${sql} in (${values.map(() => "?").join(", ")})`,
    [...values],
  );
  return new Map(rows.map(({ id: owner, value }) => [value, `${kind.name}:${owner}`]));
}

/** A hash that stands for a key that has replaced it, until a moment. */
export interface ImportedRetiredKey {
  readonly retiredKeyId: string;
  readonly keyId: string;
  readonly expiresAt: Date;
}

/** Takes hashes of keys that were replaced, where the key that replaced them was taken. Returns how many are new. */
export async function importRetiredKeys(
  database: Database,
  incoming: readonly ImportedRetiredKey[],
  dryRun: boolean,
): Promise<number> {
  if (incoming.length === 0) return 0;
  return database.transaction(async (em) => {
    const ids = incoming.map(({ retiredKeyId }) => retiredKeyId);
    const known = await readImported(em, "auth", "retired_key", ids);
    const keys = await readImported(
      em,
      "auth",
      "key",
      incoming.map(({ keyId }) => scopeOf.key(keyId)),
    );
    const fresh = incoming.filter(
      ({ retiredKeyId, keyId }) => !known.has(retiredKeyId) && (dryRun || keys.has(scopeOf.key(keyId))),
    );
    if (dryRun || fresh.length === 0) return fresh.length;
    await em.insertMany(RetiredKey, [...fresh]);
    await rememberImported(em, "auth", "retired_key", new Map(fresh.map(({ retiredKeyId }) => [retiredKeyId, 1])));
    await noteScopes(
      em,
      fresh.map(({ retiredKeyId }) => scopeOf.key(retiredKeyId)),
    );
    return fresh.length;
  });
}
