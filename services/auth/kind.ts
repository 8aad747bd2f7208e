import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { type EntityName, type FilterQuery, LockMode, type RequiredEntityData } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { touch } from "./change.ts";
import { patch, readDoc, writeDoc } from "./stored-doc.ts";
import { requireVersion } from "./version.ts";

interface StoredRow {
  doc: object;
  createdAt: Date;
  createdBy: string;
  updatedAt: Date;
  updatedBy: string;
  version: number;
}

/** A kind of things that consist of an id and settings: budgets, customers, tags. */
export interface Kind<Row extends StoredRow, D extends DescMessage> {
  /** As people call it, with a capital. */
  readonly label: string;
  /** The request's field that names one. */
  readonly param: string;
  readonly entity: EntityName<Row>;
  readonly settings: D;
  /** The rows of these ids. */
  where(ids: readonly string[]): FilterQuery<Row>;
}

/** Inserts a row. @throws CONFLICT where there is one of this id. */
export async function insertThing<Row extends StoredRow, D extends DescMessage>(
  em: SqlEntityManager,
  kind: Kind<Row, D>,
  row: RequiredEntityData<Row>,
): Promise<void> {
  await em.insert(kind.entity, row).catch((error: unknown) => {
    if (!isUniqueViolation(error)) throw error;
    throw gatewayError(Reason.CONFLICT, `${kind.label} exists already.`, { param: kind.param });
  });
}

/** Locks a row until the end of the transaction. @throws NOT_FOUND where there is none. */
export async function lockThing<Row extends StoredRow, D extends DescMessage>(
  em: SqlEntityManager,
  kind: Kind<Row, D>,
  id: string,
): Promise<Row> {
  const row = await em.findOne(kind.entity, kind.where([id]), { lockMode: LockMode.PESSIMISTIC_WRITE });
  if (row === null) throw notFound(kind, [id]);
  return row as Row;
}

/** Locks the rows of all these ids. @throws NOT_FOUND that names those that are missing. */
export async function lockThings<Row extends StoredRow, D extends DescMessage>(
  em: SqlEntityManager,
  kind: Kind<Row, D>,
  ids: readonly string[],
  idOf: (row: Row) => string,
): Promise<Row[]> {
  const rows = (await em.find(kind.entity, kind.where(ids), { lockMode: LockMode.PESSIMISTIC_WRITE })) as Row[];
  const found = new Set(rows.map(idOf));
  const missing = ids.filter((id) => !found.has(id));
  if (missing.length > 0) throw notFound(kind, missing);
  return rows;
}

/** Takes what the paths name from an update, and marks the row as changed. @throws CONFLICT for a stale version. */
export function updateThing<Row extends StoredRow, D extends DescMessage>(
  kind: Kind<Row, D>,
  row: Row,
  caller: AdminCaller,
  now: Date,
  update: {
    readonly settings: MessageShape<D> | undefined;
    readonly paths: readonly string[];
    readonly version: number | undefined;
  },
): void {
  requireVersion(row.version, update.version);
  const settings = patch(kind.settings, readDoc(kind.settings, row.doc), update.settings, update.paths);
  row.doc = writeDoc(kind.settings, settings);
  touch(row, caller, now);
}

export function notFound(kind: { readonly label: string; readonly param: string }, ids: readonly string[]) {
  const shown = ids.slice(0, 10).join(", ");
  return gatewayError(Reason.NOT_FOUND, `${kind.label} not found: ${shown}.`, { param: kind.param });
}

/** @throws INVALID_REQUEST where an id is empty. */
export function requireId(kind: { readonly label: string; readonly param: string }, id: string): string {
  if (id !== "") return id;
  throw gatewayError(Reason.INVALID_REQUEST, `${kind.param} is required.`, { param: kind.param });
}
