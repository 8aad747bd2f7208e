import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { CallerModels } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Model, ModelSchema } from "#gen/sluice/router/v1/model_pb.ts";
import type { RouterEnvironment } from "./config.ts";
import { levelsAllow } from "./model-rights.ts";
import type { PriceBook } from "./prices/price-book.ts";
import { type ProviderNames, priceId } from "./provider-table.ts";
import { compileGlob, globMatch, substitute } from "./registry/glob.ts";
import type { ModelGroup, Registry } from "./registry/registry.ts";

/** Who asks for models, and for which. */
export interface ModelQuestion {
  /** What the caller may use; absent means everything. */
  readonly models: CallerModels | undefined;
  /** The caller's team; empty where it has none. */
  readonly teamId: string;
}

export interface ModelListOptions extends ModelQuestion {
  /** Patterns too, as they are written. */
  readonly patterns: boolean;
  /** Names of model access groups: none, too, or nothing else. */
  readonly accessGroups: "none" | "too" | "only";
}

/** The models there are, for those who ask. */
export interface ModelCatalog {
  /** Sorted by id. */
  list(options: ModelListOptions): readonly Model[];
  find(id: string, question: ModelQuestion): Model | undefined;
}

/** Models of a configuration have no date of birth; LiteLLM gives them all this one. */
const createdAt = timestampFromDate(new Date(1_677_610_602_000));
const mockModel = "mock/echo";

/**
 * The names of the configuration, the known models behind its patterns, and the mock. A pattern is expanded for providers
 * whose key is there; without a configuration, the models of every such provider are listed as `provider/model`.
 */
export function createModelCatalog(
  registry: Registry,
  names: ProviderNames,
  prices: PriceBook,
  env: RouterEnvironment,
): ModelCatalog {
  const known = { names, registry };
  let everybodys: readonly Model[] | undefined;
  const all = () => {
    everybodys ??= everybodysModels(registry, names, prices, env);
    return everybodys;
  };
  const allows = ({ models }: ModelQuestion, id: string, ofTeam = false) => levelsAllow(models, id, known, ofTeam);

  return {
    list(options) {
      const own = new Set(options.teamId === "" ? [] : registry.namesOf(options.teamId));
      const groups = options.accessGroups === "none" ? [] : registry.accessGroups;
      const listed = groups
        .filter((group) => mayUseGroup(options, group, registry))
        .map((id) => describe(id, "openai"));
      if (options.accessGroups !== "only") {
        listed.push(...all().filter(({ id }) => !own.has(id) && allows(options, id)));
        listed.push(...[...own].filter((id) => allows(options, id, true)).map((id) => ofTeam(registry, id, options)));
        if (options.patterns) listed.push(...patternsOf(registry).filter(({ id }) => allows(options, id)));
      }
      return listed.sort((a, b) => (a.id < b.id ? -1 : 1));
    },
    find(id, question) {
      const isOwn = registry.namesOf(question.teamId).includes(id);
      if (!allows(question, id, isOwn)) return undefined;
      const group = registry.resolve(id, question.teamId);
      return group === undefined ? undefined : describe(id, ownerOf(group));
    },
  };
}

function everybodysModels(
  registry: Registry,
  names: ProviderNames,
  prices: PriceBook,
  env: RouterEnvironment,
): Model[] {
  const hasKey = (provider: string) => env.providers.get(provider)?.credential !== undefined;
  const pricedAs = (provider: string) => {
    const row = names.byId(provider);
    return row === undefined ? provider : priceId(row);
  };
  const keyed = [...env.providers.keys()].filter(hasKey);

  const expand = (pattern: string, model: string, provider: string | undefined): [string, string][] => {
    const upstream = compileGlob(model);
    return (provider === undefined ? keyed : [provider].filter(hasKey)).flatMap((id) =>
      prices.models(pricedAs(id)).flatMap((known): [string, string][] => {
        const captures = globMatch(upstream, provider === undefined ? `${id}/${known}` : known);
        return captures === undefined || captures.length === 0 ? [] : [[substitute(pattern, captures), id]];
      }),
    );
  };

  const configured = registry.names.length > 0 || registry.patterns.length > 0;
  const owners = new Map<string, string>([
    [mockModel, "mock"],
    ...(configured ? [] : keyed.flatMap((id) => expand(`${id}/*`, "*", id))),
    ...registry.patterns.flatMap(({ pattern, model, provider }) => expand(pattern, model, provider)),
    ...registry.names.flatMap((name): [string, string][] => {
      const group = registry.resolve(name);
      return group === undefined || group.deployments.length === 0 ? [] : [[name, ownerOf(group)]];
    }),
  ]);
  return [...owners].map(([id, ownedBy]) => describe(id, ownedBy));
}

function patternsOf(registry: Registry): Model[] {
  const owners = new Map(registry.patterns.map(({ pattern, provider }) => [pattern, provider ?? "openai"]));
  return [...owners].map(([pattern, ownedBy]) => describe(pattern, ownedBy));
}

function ofTeam(registry: Registry, id: string, { teamId }: ModelQuestion): Model {
  const group = registry.resolve(id, teamId);
  return describe(id, group === undefined ? "openai" : ownerOf(group));
}

/** A group is shown to whom every level allows it by its name, or who may use everything. */
function mayUseGroup({ models }: ModelQuestion, group: string, registry: Registry): boolean {
  return (models?.levels ?? []).every(
    (level) =>
      level.models.length === 0 ||
      level.models.some((right) => right === group || right === "*" || right === "all-proxy-models") ||
      (registry.accessGroup(group) ?? []).every((name) => level.models.includes(name)),
  );
}

/** The provider of all deployments, `openai` where several share the name. */
function ownerOf({ deployments }: ModelGroup): string {
  const [first, ...others] = deployments;
  return first === undefined || others.some(({ provider }) => provider !== first.provider) ? "openai" : first.provider;
}

function describe(id: string, ownedBy: string): Model {
  return create(ModelSchema, { id, ownedBy, createdAt });
}
