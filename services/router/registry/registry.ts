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
   * name, in this order. Groups of patterns and providers are made on demand and kept, up to a bound.
   */
  resolve(name: string): ModelGroup | undefined;
  /** The variable that would make an unknown name known, if it is that. */
  missingVariable(name: string): string | undefined;
  /** The names of the file, aliases that are not hidden included. */
  readonly names: readonly string[];
  /** The patterns of the file, with the provider that each one leads to where that is fixed. */
  readonly patterns: readonly {
    readonly pattern: string;
    readonly provider: string | undefined;
    readonly model: string;
  }[];
}

interface ConfiguredDeployment {
  readonly config: DeploymentConfig;
  readonly id: string;
}

interface Pattern {
  readonly name: string;
  readonly glob: Glob;
  readonly members: readonly ConfiguredDeployment[];
}

const maxNameLength = 256;
const maxGroupsOnDemand = 2_000;

export function createRegistry(config: RouterConfig, parts: DeploymentParts): Registry {
  const maker = createGroupMaker(parts);
  const byName = Map.groupBy(withIds(config.deployments), (member) => member.config.modelName);
  const exact = new Map<string, ModelGroup>();
  const patterns: Pattern[] = [];
  for (const [name, members] of byName) {
    if (name.includes("*")) patterns.push({ name, glob: compileGlob(name), members });
    else exact.set(name, { name, deployments: maker.deployments(members, []), cools: true });
  }
  patterns.sort((a, b) => specificity(b.glob) - specificity(a.glob));
  const byId = new Map([...exact.values()].flatMap(groupsById));
  const onDemand = new Map<string, ModelGroup>();

  const make = (name: string): ModelGroup | undefined => {
    const made = maker.fromPatterns(patterns, name) ?? maker.implicit(name);
    const [oldest] = onDemand.keys();
    if (onDemand.size >= maxGroupsOnDemand && oldest !== undefined) onDemand.delete(oldest);
    if (made !== undefined) onDemand.set(name, made);
    return made;
  };
  const find = (name: string): ModelGroup | undefined => {
    const known = byId.get(name) ?? exact.get(name) ?? onDemand.get(name);
    return known ?? (name.length > maxNameLength ? undefined : make(name));
  };

  return {
    resolve: (name) => find(config.aliases.get(name)?.model ?? name),
    missingVariable(name) {
      const provider = parts.names.split(name)?.provider;
      if (provider === undefined || maker.isSetUp(provider)) return undefined;
      return (provider.needsKey ? provider.keyVariables : provider.baseUrlVariables)[0];
    },
    names: [...exact.keys(), ...[...config.aliases].flatMap(([name, { hidden }]) => (hidden ? [] : [name]))],
    patterns: patterns.flatMap(({ name, members }) =>
      members.map(({ config: own }) => ({ pattern: name, provider: own.provider, model: own.model })),
    ),
  };
}

/** A deployment can be asked for by its id. */
function groupsById({ deployments }: ModelGroup): [string, ModelGroup][] {
  return deployments.map((deployment) => [
    deployment.id,
    { name: deployment.id, deployments: [deployment], cools: true },
  ]);
}

function createGroupMaker(parts: DeploymentParts) {
  const factory = createDeploymentFactory(parts);
  const isSetUp = (provider: ProviderRow): boolean => {
    const found = parts.env.providers.get(provider.id);
    const isSet = Object.keys(found?.settings ?? {}).length > 0;
    if (provider.needsKey) return found?.credential !== undefined || (provider.ambientCredentials === true && isSet);
    return provider.alwaysServed === true || found?.credential !== undefined || (found?.baseUrl ?? "") !== "";
  };

  const one = ({ config: own, id }: ConfiguredDeployment, captures: readonly string[]): Deployment[] => {
    const model = captures.length === 0 ? own.model : substitute(own.model, captures);
    if (own.provider !== undefined) {
      const provider = parts.names.byId(own.provider);
      return provider === undefined ? [] : [factory.configured(own, id, provider, model)];
    }
    const found = parts.names.split(model);
    return found === undefined ? [] : [factory.configured(own, id, found.provider, found.model)];
  };
  const deployments = (members: readonly ConfiguredDeployment[], captures: readonly string[]): Deployment[] =>
    members.flatMap((member) => one(member, captures));

  return {
    isSetUp,
    deployments,
    fromPatterns(patterns: readonly Pattern[], name: string): ModelGroup | undefined {
      for (const { glob, members } of patterns) {
        const captures = globMatch(glob, name);
        const made = captures === undefined ? [] : deployments(members, captures);
        if (made.length > 0) return { name, deployments: made, cools: made.length > 1 };
      }
      return undefined;
    },
    implicit(name: string): ModelGroup | undefined {
      const found = parts.names.split(name);
      if (found === undefined || !isSetUp(found.provider)) return undefined;
      return { name, deployments: [factory.implicit(found.provider, found.model)], cools: false };
    },
  };
}

/** Gives every deployment its id. Those that differ in nothing but their credential are numbered in the file's order. */
function withIds(deployments: readonly DeploymentConfig[]): ConfiguredDeployment[] {
  const taken = new Map<string, number>();
  return deployments.map((config) => {
    const id = config.id ?? deploymentHash(config, config.provider ?? "", config.model);
    const times = (taken.get(id) ?? 0) + 1;
    taken.set(id, times);
    return { config, id: times === 1 ? id : `${id}-${times}` };
  });
}
