import type { ProviderRow } from "../provider-table.ts";
import type { DeploymentConfig, RouterConfig } from "../router-config.ts";
import { createDeploymentFactory, type Deployment, type DeploymentParts, deploymentHash } from "./deployment.ts";
import { compileGlob, type Glob, globMatch, specificity, substitute } from "./glob.ts";

/** All deployments that answer to one name. */
export interface ModelGroup {
  readonly name: string;
  readonly deployments: readonly Deployment[];
  /** False for what was made on demand with nothing beside it: there a cooldown would only hide the true error. */
  readonly cools: boolean;
}

/** Finds the deployments of a model name. */
export interface Registry {
  /**
   * Resolves alias, deployment id, exact name, pattern (the most specific first) and `provider/model` or well-known bare
   * name, in this order. Groups of patterns and providers are made on demand and kept, up to a bound. What a team has of
   * its own is found by its calls alone, and before everything else.
   */
  resolve(name: string, teamId?: string): ModelGroup | undefined;
  /** The variable that would make an unknown name known, if it is that. */
  missingVariable(name: string): string | undefined;
  /** The names that everybody may see: aliases that are not hidden included, those of teams and patterns not. */
  readonly names: readonly string[];
  /** The patterns, with the provider that each one leads to where that is fixed. */
  readonly patterns: readonly {
    readonly pattern: string;
    readonly provider: string | undefined;
    readonly model: string;
  }[];
  /** The names of a team's own deployments, patterns left out. */
  namesOf(teamId: string): readonly string[];
  /** The names and patterns that a model access group stands for; undefined where there is no such group. */
  accessGroup(name: string): readonly string[] | undefined;
  /** The names of all model access groups. */
  readonly accessGroups: readonly string[];
  /** Everything that was configured, what calls pass by included. */
  readonly members: readonly RegistryMember[];
}

/** A deployment that was configured. */
export interface RegistryMember {
  readonly config: DeploymentConfig;
  readonly id: string;
  /** Undefined for a pattern, and for one whose provider is not known. */
  readonly deployment: Deployment | undefined;
}

interface Pattern {
  readonly name: string;
  readonly glob: Glob;
  readonly members: readonly RegistryMember[];
}

const maxNameLength = 256;
const maxGroupsOnDemand = 2_000;

/** `maker`: one that lives on keeps the deployments that it has made, and with them what is known of their health. */
export function createRegistry(
  config: Pick<RouterConfig, "deployments" | "aliases">,
  parts: DeploymentParts,
  maker: GroupMaker = createGroupMaker(parts),
): Registry {
  const members = withIds(config.deployments).map(({ config: own, id }) => maker.member(own, id));
  const usable = members.filter(({ config: own }) => !own.about.blocked);
  const everybodys = new NameTable(
    usable.filter(({ config: own }) => own.about.teamId === undefined),
    maker,
  );
  const teams = new Map(
    [...Map.groupBy(usable, ({ config: own }) => own.about.teamId ?? "")].flatMap(([teamId, own]) =>
      teamId === "" ? [] : [[teamId, new NameTable(own, maker)] as const],
    ),
  );
  const groups = namesByAccessGroup(members);
  return {
    resolve(name, teamId = "") {
      const meant = config.aliases.get(name)?.model ?? name;
      const own = teamId === "" ? undefined : teams.get(teamId)?.find(meant);
      return own ?? everybodys.find(meant) ?? everybodys.implicit(meant);
    },
    missingVariable(name) {
      const provider = parts.names.split(name)?.provider;
      if (provider === undefined || maker.isSetUp(provider)) return undefined;
      return (provider.needsKey ? provider.keyVariables : provider.baseUrlVariables)[0];
    },
    names: [...everybodys.names, ...[...config.aliases].flatMap(([name, { hidden }]) => (hidden ? [] : [name]))],
    patterns: everybodys.patterns.flatMap(({ name, members: all }) =>
      all.map(({ config: own }) => ({ pattern: name, provider: own.provider, model: own.model })),
    ),
    namesOf: (teamId) => teams.get(teamId)?.names ?? [],
    accessGroup: (name) => groups.get(name),
    accessGroups: [...groups.keys()],
    members,
  };
}

/** The names that some people may use: everybody, or a team. */
class NameTable {
  readonly #maker: GroupMaker;
  readonly #exact = new Map<string, ModelGroup>();
  readonly #byId: ReadonlyMap<string, ModelGroup>;
  readonly #onDemand = new Map<string, ModelGroup>();
  readonly patterns: readonly Pattern[];

  constructor(members: readonly RegistryMember[], maker: GroupMaker) {
    this.#maker = maker;
    const patterns: Pattern[] = [];
    for (const [name, own] of Map.groupBy(members, ({ config }) => config.modelName)) {
      if (name.includes("*")) patterns.push({ name, glob: compileGlob(name), members: own });
      else this.#exact.set(name, { name, deployments: own.flatMap(({ deployment }) => deployment ?? []), cools: true });
    }
    this.patterns = patterns.sort((a, b) => specificity(b.glob) - specificity(a.glob));
    this.#byId = new Map([...this.#exact.values()].flatMap(groupsById));
  }

  get names(): readonly string[] {
    return [...this.#exact.keys()];
  }

  find(name: string): ModelGroup | undefined {
    const known = this.#byId.get(name) ?? this.#exact.get(name) ?? this.#onDemand.get(name);
    if (known !== undefined || name.length > maxNameLength || this.patterns.length === 0) return known;
    return this.#keep(name, this.#maker.fromPatterns(this.patterns, name));
  }

  /** The group of a provider that nobody configured. */
  implicit(name: string): ModelGroup | undefined {
    return name.length > maxNameLength ? undefined : this.#keep(name, this.#maker.implicit(name));
  }

  #keep(name: string, made: ModelGroup | undefined): ModelGroup | undefined {
    if (made === undefined) return undefined;
    const [oldest] = this.#onDemand.keys();
    if (this.#onDemand.size >= maxGroupsOnDemand && oldest !== undefined) this.#onDemand.delete(oldest);
    this.#onDemand.set(name, made);
    return made;
  }
}

/** A team's own deployments have no part in it: their makers decide about their team, and not about others' keys. */
function namesByAccessGroup(members: readonly RegistryMember[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, Set<string>>();
  for (const { config } of members) {
    if (config.about.teamId !== undefined) continue;
    for (const group of config.about.accessGroups) {
      groups.set(group, (groups.get(group) ?? new Set<string>()).add(config.modelName));
    }
  }
  return new Map([...groups].map(([group, names]) => [group, [...names]]));
}

/** A deployment can be asked for by its id. */
function groupsById({ deployments }: ModelGroup): [string, ModelGroup][] {
  return deployments.map((deployment) => [
    deployment.id,
    { name: deployment.id, deployments: [deployment], cools: true },
  ]);
}

/** Makes groups out of deployments, and keeps the deployments of configurations that it has seen. */
export interface GroupMaker {
  /** Whether the provider's models are served without configuration. */
  isSetUp(provider: ProviderRow): boolean;
  member(config: DeploymentConfig, id: string): RegistryMember;
  /** A deployment for a question, sent to `model` where that is given. Nothing is kept of it. */
  single(config: DeploymentConfig, id: string, model: string | undefined): Deployment | undefined;
  fromPatterns(patterns: readonly Pattern[], name: string): ModelGroup | undefined;
  /** A group of a provider that nobody configured. */
  implicit(name: string): ModelGroup | undefined;
}

export function createGroupMaker(parts: DeploymentParts): GroupMaker {
  const factory = createDeploymentFactory(parts);
  const made = new WeakMap<DeploymentConfig, RegistryMember>();
  const isSetUp = (provider: ProviderRow): boolean => {
    const found = parts.env.providers.get(provider.id);
    const isSet = Object.keys(found?.settings ?? {}).length > 0;
    if (provider.needsKey) return found?.credential !== undefined || (provider.ambientCredentials === true && isSet);
    return provider.alwaysServed === true || found?.credential !== undefined || (found?.baseUrl ?? "") !== "";
  };

  const one = (own: DeploymentConfig, id: string, captures: readonly string[]): Deployment | undefined => {
    const model = captures.length === 0 ? own.model : substitute(own.model, captures);
    if (own.provider !== undefined) {
      const provider = parts.names.byId(own.provider);
      return provider === undefined ? undefined : factory.configured(own, id, provider, model);
    }
    const found = parts.names.split(model);
    return found === undefined ? undefined : factory.configured(own, id, found.provider, found.model);
  };

  return {
    isSetUp,
    member(config, id) {
      const known = made.get(config);
      if (known !== undefined && known.id === id) return known;
      const deployment = config.modelName.includes("*") ? undefined : one(config, id, []);
      const member = { config, id, deployment };
      made.set(config, member);
      return member;
    },
    single(config, id, model) {
      const named = model === undefined ? undefined : parts.names.split(model);
      if (model === undefined) return one(config, id, []);
      return one({ ...config, model: named?.model ?? model, provider: named?.provider.id ?? config.provider }, id, []);
    },
    fromPatterns(patterns, name) {
      for (const { glob, members } of patterns) {
        const captures = globMatch(glob, name);
        const deployments =
          captures === undefined ? [] : members.flatMap(({ config, id }) => one(config, id, captures) ?? []);
        if (deployments.length > 0) return { name, deployments, cools: deployments.length > 1 };
      }
      return undefined;
    },
    implicit(name) {
      const found = parts.names.split(name);
      if (found === undefined || !isSetUp(found.provider)) return undefined;
      return { name, deployments: [factory.implicit(found.provider, found.model)], cools: false };
    },
  };
}

/** Gives every deployment its id. Those that differ in nothing but their credential are numbered in the file's order. */
function withIds(
  deployments: readonly DeploymentConfig[],
): { readonly config: DeploymentConfig; readonly id: string }[] {
  const taken = new Map<string, number>();
  return deployments.map((config) => {
    const id = config.id ?? deploymentHash(config, config.provider ?? "", config.model);
    const times = (taken.get(id) ?? 0) + 1;
    taken.set(id, times);
    return { config, id: times === 1 ? id : `${id}-${times}` };
  });
}
