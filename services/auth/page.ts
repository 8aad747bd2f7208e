import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** Which part of a list is asked for. */
export interface Page {
  /** From 1. */
  readonly page: number;
  readonly size: number;
  readonly limit: number;
  readonly offset: number;
}

/** No list is read further than this: what lies beyond is found by narrowing it. */
const deepest = 1_000_000;

/** @throws INVALID_REQUEST where a number makes no sense. */
export function readPage(page: number | undefined, size: number | undefined, usual: number, most: number): Page {
  const number = page ?? 1;
  const count = size ?? usual;
  if (number < 1) throw invalid("page", "must be at least 1");
  if (count < 1 || count > most) throw invalid("size", `must be between 1 and ${most}`);
  if (number * count > deepest) throw invalid("page", "is too far behind; narrow the list");
  return { page: number, size: count, limit: count, offset: (number - 1) * count };
}

export function pagesOf(total: number, { size }: Page): number {
  return Math.ceil(total / size);
}

/** What an answer says of its page, where it says all of it. */
export function pageFields(total: number, page: Page) {
  return { total, page: page.page, pageSize: page.size, totalPages: pagesOf(total, page) };
}

/**
 * The order of a list: by one of the columns that may be named, and by the key column, so that no row is on two pages.
 *
 * @throws INVALID_REQUEST that names the columns there are.
 */
export function readOrder<C extends string>(
  columns: Readonly<Record<string, C>>,
  key: C,
  sortBy: string,
  sortOrder: string,
  usual: { readonly by: C; readonly order: "asc" | "desc" },
): Partial<Record<C, "asc" | "desc">>[] {
  const order = sortOrder === "" ? undefined : sortOrder.toLowerCase();
  if (order !== undefined && order !== "asc" && order !== "desc") throw invalid("sort_order", "must be asc or desc");
  if (sortBy === "") return [single(usual.by, order ?? usual.order), single(key, "asc")];
  const column = Object.hasOwn(columns, sortBy) ? columns[sortBy] : undefined;
  if (column === undefined) throw invalid("sort_by", `must be one of ${Object.keys(columns).join(", ")}`);
  return [single(column, order ?? "asc"), single(key, "asc")];
}

function single<C extends string>(column: C, order: "asc" | "desc"): Partial<Record<C, "asc" | "desc">> {
  const one: Partial<Record<C, "asc" | "desc">> = {};
  one[column] = order;
  return one;
}

/** The names in a text with commas between them. */
export function readList(text: string): string[] {
  return text.split(",").flatMap((name) => name.trim() || []);
}

/** A pattern of SQL's LIKE that finds the text anywhere, and takes nothing in it for a wildcard. */
export function containing(text: string): string {
  return `%${beginning(text)}`;
}

/** The same that finds the text at the beginning. */
export function beginning(text: string): string {
  return `${text.replace(/[\\%_]/g, "\\$&")}%`;
}

function invalid(field: string, what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field} ${what}.`, { param: field });
}
