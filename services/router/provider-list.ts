import { z } from "zod";
import { configuredRowSchema, type OpenAiRow } from "#catalog/provider-row.ts";
import { readSection, valueAt, type YamlDocument } from "#chassis/yaml-file.ts";
import { type ProviderRow, providerTable, routerRow } from "./provider-table.ts";

const providersSchema = z.array(configuredRowSchema).nullish();

/**
 * The providers of the catalog and those that the section `providers` adds. Throws a ConfigurationError with the line of
 * every wrong value, and of a name that is taken.
 */
export function readProviders(document: YamlDocument): readonly ProviderRow[] {
  const rows = readSection(document, ["providers"], providersSchema) ?? [];
  const taken = new Set(providerTable.flatMap(namesOf));
  const added = rows.map((row, index) => {
    for (const name of namesOf(row)) {
      if (taken.has(name)) throw document.problem(["providers", index, "id"], "a name that no other provider has");
      taken.add(name);
    }
    const written = valueAt(document.value, ["providers", index]);
    return routerRow(row, Buffer.from(JSON.stringify(written)));
  });
  return [...providerTable, ...added];
}

function namesOf({ id, aliases = [] }: ProviderRow | OpenAiRow): string[] {
  return [id, ...aliases];
}
