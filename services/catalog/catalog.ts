import { z } from "zod";
import { type CatalogRow, type OpenAiRow, providerRowSchema } from "./provider-row.ts";
import table from "./providers.json" with { type: "json" };

/** Validates rows. Throws where they are malformed or a name is taken twice, naming the place. */
export function parseCatalog(value: unknown): CatalogRow[] {
  const rows = z.array(providerRowSchema).parse(value);
  const names = rows.flatMap(({ id, aliases }) => [id, ...aliases]);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`the provider table lists ${twice} twice`);
  return rows;
}

/** The rows of providers.json, in its order. */
export const catalog: readonly CatalogRow[] = parseCatalog(table);

/** The rows of those who speak OpenAI's format. */
export function openAiRows(rows: readonly CatalogRow[] = catalog): OpenAiRow[] {
  return rows.filter((row) => row.kind === "openai");
}

/** One row of what speaks OpenAI's format. Throws where it is malformed. */
export function parseOpenAiRow(value: unknown): OpenAiRow {
  const [row] = openAiRows(parseCatalog([value]));
  if (row === undefined) throw new Error("a provider's row is none of OpenAI's format");
  return row;
}
