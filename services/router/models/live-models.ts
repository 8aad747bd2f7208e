import type { Environment } from "#chassis/environment.ts";
import { errorText } from "#chassis/log.ts";
import type { Sealer } from "#chassis/sealing.ts";
import type { RouterEnvironment } from "../config.ts";
import type { RouterEvents } from "../events.ts";
import { createModelCatalog, type ModelCatalog } from "../model-catalog.ts";
import { withNamedCredential } from "../model-list.ts";
import type { PriceBook } from "../prices/price-book.ts";
import { createProviderNames, type ProviderNames } from "../provider-table.ts";
import type { DeploymentParts } from "../registry/deployment.ts";
import { createGroupMaker, createRegistry, type GroupMaker, type Registry } from "../registry/registry.ts";
import type { DeploymentConfig, NamedCredential, RouterConfig } from "../router-config.ts";
import { createFallbackLookup, type FallbackLookup } from "../routing/fallback-plan.ts";
import { nothingStored, type RowReading, readCredentialRow, readRow, type StoredModels } from "./stored-models.ts";

/** A configuration file that was read, with the environment that goes with it. */
export interface LoadedConfig {
  readonly config: RouterConfig;
  readonly env: RouterEnvironment;
  /** What `os.environ/NAME` refers to in deployments of the database. */
  readonly references: Environment;
  readonly warnings: readonly string[];
}

/** Everything that routing knows of models at one time. Never changed, only replaced as a whole. */
export interface Generation {
  readonly loaded: LoadedConfig;
  readonly names: ProviderNames;
  readonly registry: Registry;
  readonly fallbacks: FallbackLookup;
  readonly catalog: ModelCatalog;
  /** Those of the database and of the configuration, by name; the database wins. */
  readonly credentials: ReadonlyMap<string, NamedCredential>;
  readonly maker: GroupMaker;
}

export interface LiveModelsParts {
  /** Seals credentials on their way to the adapter, and opens what is stored. */
  readonly sealer: Sealer;
  readonly prices: PriceBook;
  readonly events: RouterEvents;
}

/** What lives as long as a configuration does. */
interface Base {
  readonly loaded: LoadedConfig;
  readonly reading: RowReading;
  readonly parts: DeploymentParts;
  readonly maker: GroupMaker;
  readonly fallbacks: FallbackLookup;
  /** What rows were read as; undefined for one that cannot be read. */
  readonly read: WeakMap<object, DeploymentConfig | undefined>;
  readonly credentials: WeakMap<object, NamedCredential | undefined>;
  /** Deployments with what a named credential adds. */
  readonly bound: WeakMap<DeploymentConfig, Bound>;
}

interface Bound {
  readonly credential: NamedCredential | undefined;
  readonly config: DeploymentConfig;
}

/** The models of the configuration file and of the database, side by side. A new state is built aside and put in place at once. */
export class LiveModels {
  readonly #parts: LiveModelsParts;
  #base: Base;
  #stored: StoredModels = nothingStored;
  #current: Generation;

  constructor(parts: LiveModelsParts, loaded: LoadedConfig) {
    this.#parts = parts;
    this.#base = this.#baseOf(loaded);
    this.#current = this.#build(this.#base, this.#stored);
  }

  get current(): Generation {
    return this.#current;
  }

  get stored(): StoredModels {
    return this.#stored;
  }

  useConfig(loaded: LoadedConfig): void {
    const base = this.#baseOf(loaded);
    this.#current = this.#build(base, this.#stored);
    this.#base = base;
  }

  /** Seals what goes to the adapter under the key that is the right one now. */
  sealAnew(): void {
    this.useConfig(this.#base.loaded);
  }

  useStored(stored: StoredModels): void {
    if (stored === this.#stored) return;
    this.#current = this.#build(this.#base, stored);
    this.#stored = stored;
  }

  #baseOf(loaded: LoadedConfig): Base {
    const { sealer, prices } = this.#parts;
    const { config, env, references } = loaded;
    const names = createProviderNames(config.providers);
    const parts = { env, settings: config.settings, sealer, prices, names };
    return {
      loaded,
      parts,
      reading: { names, references, sealer },
      maker: createGroupMaker(parts),
      fallbacks: createFallbackLookup(config.settings),
      read: new WeakMap(),
      credentials: new WeakMap(),
      bound: new WeakMap(),
    };
  }

  #build(base: Base, stored: StoredModels): Generation {
    const { loaded, parts, maker, fallbacks, read, reading } = base;
    const { config, env } = loaded;
    const credentials = this.#namedCredentials(base, stored);
    const ofDatabase = stored.deployments.flatMap(
      (row) => this.#readOnce(read, row, row.modelId, () => readRow(row, reading)) ?? [],
    );
    const deployments = [...config.deployments, ...ofDatabase].map((each) => bind(base, each, credentials));
    const registry = createRegistry({ deployments, aliases: config.aliases }, parts, maker);
    const catalog = createModelCatalog(registry, parts.names, this.#parts.prices, env);
    return { loaded, names: parts.names, registry, fallbacks, catalog, credentials, maker };
  }

  #namedCredentials(base: Base, stored: StoredModels): ReadonlyMap<string, NamedCredential> {
    const { reading, credentials: known } = base;
    const ofDatabase = stored.credentials.flatMap(
      (row) => this.#readOnce(known, row, row.credentialName, () => readCredentialRow(row, reading)) ?? [],
    );
    const all = [...base.loaded.config.credentials, ...ofDatabase];
    return new Map(all.map((credential) => [credential.name, credential]));
  }

  /** Reads a row once. One that cannot be read is left out, and does not keep the others from being served. */
  #readOnce<T>(known: WeakMap<object, T | undefined>, row: object, name: string, read: () => T): T | undefined {
    if (known.has(row)) return known.get(row);
    let result: T | undefined;
    try {
      result = read();
    } catch (error) {
      this.#parts.events.storedUnreadable(name, errorText(error));
    }
    known.set(row, result);
    return result;
  }
}

/** The deployment with its named credential. One whose credential does not exist stays, and calls pass it by. */
function bind(
  { bound, parts }: Base,
  config: DeploymentConfig,
  credentials: ReadonlyMap<string, NamedCredential>,
): DeploymentConfig {
  if (config.credentialName === undefined) return config;
  const credential = credentials.get(config.credentialName);
  const known = bound.get(config);
  if (known !== undefined && known.credential === credential) return known.config;
  const row = config.provider === undefined ? undefined : parts.names.byId(config.provider);
  const passedBy = { ...config, about: { ...config.about, blocked: true } };
  const made = withNamedCredential(config, credential, row) ?? passedBy;
  bound.set(config, { credential, config: made });
  return made;
}
