import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ImportKind } from "../../../auth/import/import-kind.ts";
import { usdToNano } from "../../../edge/rest/usd.ts";
import { dateOf, type Left, textOf } from "./fields.ts";
import type { Source } from "./source.ts";

/** What the rows of one table become. */
export interface Step<Row extends object, Context> {
  /** As the report calls them. */
  readonly label: string;
  readonly table: string;
  readonly key: readonly string[];
  readonly kind: ImportKind<Row>;
  /** Reads what else it takes to read these rows. */
  prepare(source: Source, rows: readonly JsonObject[]): Promise<Context>;
  /** Reads a row: none, one or several of our rows. `now`: for what has no date of its own. */
  read(row: JsonObject, context: Context, now: Date): readonly Reading<Row>[];
}

/** What a row was read as. */
export interface Reading<Row> {
  /** What a person knows it by. */
  readonly name: string;
  /** Our row, or why there is none. */
  readonly row: Row | { readonly leftBecause: string };
  readonly left: readonly Left[];
  readonly spend?: Spend | undefined;
}

/** What was spent in a budget window, in LiteLLM's words. */
export interface Spend {
  readonly spend: JsonValue | undefined;
  readonly window: Window;
}

export interface Window {
  readonly duration: string | undefined;
  readonly resetAt: Date | undefined;
}

/** The budgets that rows refer to, by id. */
export type Budgets = ReadonlyMap<string, JsonObject>;

export async function budgetsOf(
  source: Source,
  rows: readonly JsonObject[],
  more: readonly string[] = [],
): Promise<Budgets> {
  const ids = new Set([...rows.flatMap(({ budget_id: id }) => textOf(id) ?? []), ...more]);
  const budgets = await source.rowsOf("LiteLLM_BudgetTable", "budget_id", [...ids]);
  return new Map(budgets.map((budget) => [String(budget.budget_id), budget]));
}

/** The budget window of a row: its own, else that of the budget that it refers to. */
export function windowOf(row: JsonObject, budgets: Budgets): Window {
  const budget = budgets.get(textOf(row.budget_id) ?? "");
  const from = textOf(row.budget_duration) === undefined && budget !== undefined ? budget : row;
  return { duration: textOf(from.budget_duration), resetAt: dateOf(from.budget_reset_at) };
}

/** Billionths of a dollar; undefined where it is no amount. */
export function nanoOf(spend: JsonValue | undefined): bigint | undefined {
  if (spend === undefined || spend === null) return 0n;
  const nano = usdToNano(spend);
  return nano === undefined || nano < 0n ? undefined : nano;
}
