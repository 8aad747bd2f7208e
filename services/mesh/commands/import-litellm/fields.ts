import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** Something of LiteLLM's that does not come along, or comes without effect. */
export interface Left {
  /** The column, or the member of one. */
  readonly field: string;
  readonly reason: string;
}

export const importer = "litellm-import";

export function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** A moment; LiteLLM's columns have no time zone and are in UTC. */
export function dateOf(value: JsonValue | undefined): Date | undefined {
  if (typeof value !== "string") return undefined;
  const date = new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(value) ? value : `${value}Z`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** Whether a value says nothing. */
export function isEmpty(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** The members of these names that say something. */
export function pick(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Object.hasOwn(object, name) ? object[name] : undefined;
      return value === undefined || value === null ? [] : [[name, value]];
    }),
  );
}

export function omit(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** The columns that say something and that nobody has read. */
export function unread(row: JsonObject, read: readonly string[], reason: string): Left[] {
  return Object.entries(omit(row, read))
    .filter(([, value]) => !isEmpty(value))
    .map(([field]) => ({ field, reason }));
}

/** Who made a row and when, as it was there; who changed it is the import. */
export function authorshipOf(row: JsonObject, now: Date) {
  const createdAt = dateOf(row.created_at) ?? now;
  return {
    createdAt,
    createdBy: textOf(row.created_by) ?? importer,
    updatedAt: dateOf(row.updated_at) ?? createdAt,
    updatedBy: importer,
    version: 1,
  };
}
