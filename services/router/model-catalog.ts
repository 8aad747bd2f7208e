import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Model, ModelSchema } from "#gen/sluice/router/v1/model_pb.ts";
import type { RouterEnvironment } from "./config.ts";
import { allowsModel } from "./model-rights.ts";
import type { PriceBook } from "./prices/price-book.ts";
import { type ProviderNames, priceId } from "./provider-table.ts";
import { compileGlob, globMatch, substitute } from "./registry/glob.ts";
import type { ModelGroup, Registry } from "./registry/registry.ts";

/** The models there are, for those who ask. */
export interface ModelCatalog {
  /** Sorted by id. */
  list(rights: readonly string[]): readonly Model[];
  find(id: string, rights: readonly string[]): Model | undefined;
}

/** Models of a configuration have no date of birth; LiteLLM gives them all this one. */
const createdAt = timestampFromDate(new Date(1_677_610_602_000));
const mockModel = "mock/echo";

/**
 * The names of the file, the known models behind its patterns, and the mock. A pattern is expanded for providers whose
 * key is there; without a file, the models of every such provider are listed as `provider/model`.
 */
export function createModelCatalog(
  registry: Registry,
  names: ProviderNames,
  prices: PriceBook,
  env: RouterEnvironment,
): ModelCatalog {
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
  const all = [...owners].map(([id, ownedBy]) => describe(id, ownedBy)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const byId = new Map(all.map((model) => [model.id, model]));

  return {
    list: (rights) => (rights.length === 0 ? all : all.filter(({ id }) => allowsModel(rights, id, names))),
    find(id, rights) {
      if (!allowsModel(rights, id, names)) return undefined;
      const known = byId.get(id);
      if (known !== undefined) return known;
      const group = registry.resolve(id);
      return group === undefined ? undefined : describe(id, ownerOf(group));
    },
  };
}

/** The provider of all deployments, `openai` where several share the name. */
function ownerOf({ deployments }: ModelGroup): string {
  const [first, ...others] = deployments;
  return first === undefined || others.some(({ provider }) => provider !== first.provider) ? "openai" : first.provider;
}

function describe(id: string, ownedBy: string): Model {
  return create(ModelSchema, { id, ownedBy, createdAt });
}
