import { completeOpenAiRow, completeRow } from "./complete-row.ts";
import type { CatalogRow, OpenAiRow, WrittenOpenAiRow, WrittenRow } from "./provider-row.ts";
import table from "./providers.json" with { type: "json" };

/** The rows of providers.json, in its order. */
export const catalog: readonly CatalogRow[] = writtenRows(table).map(completeRow);

/** The rows of those who speak OpenAI's format. */
export function openAiRows(rows: readonly CatalogRow[] = catalog): OpenAiRow[] {
  return rows.filter((row) => row.kind === "openai");
}

/** A row of OpenAI's format for a provider that has code of its own. */
export function ownOpenAiRow(row: Omit<WrittenOpenAiRow, "kind">): OpenAiRow {
  return completeOpenAiRow({ ...row, kind: "openai" });
}

/** `catalog.test.ts` holds every row of the table to the schema, so that no start has to. */
function writtenRows(rows: readonly object[]): readonly WrittenRow[] {
  return rows.filter((row): row is WrittenRow => "kind" in row);
}
