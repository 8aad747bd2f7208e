import { catalog } from "#catalog/catalog.ts";
import { type ModelSpelling, spellModel } from "#catalog/model-name.ts";
import type { CatalogRow } from "#catalog/provider-row.ts";
import { withRootPath } from "#catalog/root-path.ts";
import { Secret } from "#chassis/secret.ts";
import type { PriceBook, PriceSource } from "./prices/price-book.ts";
import { compileGlob, type Glob, globMatch } from "./registry/glob.ts";

/** What the router must know of a provider to send it calls without a `model_list`. How it speaks is the adapter's. */
export interface ProviderRow {
  readonly id: string;
  /** Other prefixes under which LiteLLM knows it. */
  readonly aliases?: readonly string[];
  /** Environment variables that may hold its key, in order. */
  readonly keyVariables: readonly string[];
  /** Environment variables that may redirect it, in order. */
  readonly baseUrlVariables: readonly string[];
  /** Whether it answers only calls that carry a key. */
  readonly needsKey: boolean;
  /** Finds credentials by itself where none are set. */
  readonly ambientCredentials?: boolean;
  /** Needs no key, and is served before anything of it is set. */
  readonly alwaysServed?: boolean;
  /** Nobody bills for it: its models cost 0 unless the configuration says otherwise. */
  readonly free?: boolean;
  /** Its name in the price book. */
  readonly priceId?: string;
  /** How it spells its models. */
  readonly modelNames?: readonly ModelSpelling[];
  /** A configured address that does not end with it is completed. */
  readonly basePath?: string;
  /** Bare model names, patterns with `*`, that mean this provider. */
  readonly bareNames?: readonly string[];
  /** What it needs besides an address and a key. */
  readonly settings?: readonly ProviderSetting[];
  /** The row for the adapter, as JSON, where the configuration adds the provider. */
  readonly adapterRow?: Uint8Array;
  /** Secrets besides one key. Where one of them is set, the credential is a JSON object of all, `api_key` included. */
  readonly secrets?: readonly ProviderSetting[];
}

/** A parameter of a provider: of `litellm_params` by its name, else of the environment. */
export interface ProviderSetting {
  readonly name: string;
  /** Environment variables that may hold it, in order. */
  readonly variables: readonly string[];
}

/** One credential out of a key and further secrets: the key as it is where it is alone. */
export function joinSecrets(apiKey: Secret | undefined, secrets: ReadonlyMap<string, Secret>): Secret | undefined {
  if (secrets.size === 0) return apiKey;
  const all = Object.fromEntries([...secrets].map(([name, secret]) => [name, secret.reveal()]));
  return new Secret(JSON.stringify(apiKey === undefined ? all : { api_key: apiKey.reveal(), ...all }));
}

/** The rows of the catalog, as the router reads them. */
export const providerTable: readonly ProviderRow[] = catalog.map((row) => routerRow(row));

/** `adapterRow`: the row as JSON, for one that no adapter knows. */
export function routerRow(row: CatalogRow, adapterRow?: Uint8Array): ProviderRow {
  return {
    id: row.id,
    aliases: row.aliases,
    keyVariables: row.key_variables,
    baseUrlVariables: row.base_url_variables,
    needsKey: row.needs_key,
    ambientCredentials: row.ambient_credentials,
    alwaysServed: row.always_served || adapterRow !== undefined,
    free: row.free,
    priceId: row.price_id,
    modelNames: row.kind === "openai" ? row.model_names : row.price_names,
    basePath: row.root_path,
    bareNames: row.bare_names,
    settings: row.settings,
    secrets: row.secrets,
    adapterRow,
  };
}

/** A provider and the model's name there. */
export interface ProviderModel {
  readonly provider: ProviderRow;
  readonly model: string;
}

/** Finds providers by prefix or by well-known bare name. */
export interface ProviderNames {
  byId(id: string): ProviderRow | undefined;
  /** Splits `provider/model`, or recognizes a bare name; undefined where neither fits. */
  split(name: string): ProviderModel | undefined;
}

export function createProviderNames(table: readonly ProviderRow[] = providerTable): ProviderNames {
  const rows = new Map(table.flatMap((row) => [row.id, ...(row.aliases ?? [])].map((id) => [id, row] as const)));
  const bare: (readonly [Glob, ProviderRow])[] = table.flatMap((row) =>
    (row.bareNames ?? []).map((pattern) => [compileGlob(pattern), row] as const),
  );
  return {
    byId: (id) => rows.get(id),
    split(name) {
      const slash = name.indexOf("/");
      if (slash > 0) {
        const row = rows.get(name.slice(0, slash));
        const model = name.slice(slash + 1);
        return row === undefined || model === "" ? undefined : { provider: row, model };
      }
      const found = bare.find(([glob]) => globMatch(glob, name) !== undefined);
      return found === undefined ? undefined : { provider: found[1], model: name };
    },
  };
}

/** What a model of the provider costs. */
export function priceOf(prices: PriceBook, row: ProviderRow, model: string): PriceSource {
  return prices.source(priceId(row), spellModel(row.modelNames ?? [], model));
}

/** The provider's name in the price book. */
export function priceId(row: ProviderRow): string {
  return row.priceId ?? row.id;
}

/** An address in the form the adapter wants: no trailing slash, the provider's base path in place. */
export function providerBaseUrl(row: ProviderRow, address: string): string {
  return withRootPath(address, row.basePath);
}
