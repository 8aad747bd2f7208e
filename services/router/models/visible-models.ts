import type { JsonObject } from "@bufbuild/protobuf";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import type { AdminCaller, CallerModels } from "#gen/sluice/rest/v1/caller_pb.ts";
import { levelsAllow, type ModelNames } from "../model-rights.ts";
import type { RegistryMember } from "../registry/registry.ts";
import type { Generation } from "./live-models.ts";
import { maySeeModel } from "./model-ownership.ts";

/** Who asks for deployments, and as whom. */
export interface Viewer {
  readonly caller: AdminCaller;
  readonly models: CallerModels | undefined;
  /** Narrows the list to what this team may use. */
  readonly teamId?: string | undefined;
}

/** The deployments that somebody may know of: a proxy admin all, anybody else those whose names they may use. */
export function visibleMembers({ registry, names }: Generation, { caller, models, teamId }: Viewer): RegistryMember[] {
  const known = { names, registry };
  const all = isProxyAdmin(caller);
  return registry.members.filter(({ config }) => {
    const owner = config.about.teamId;
    if (teamId && owner !== undefined && owner !== teamId) return false;
    if (all) return true;
    return maySeeModel(caller, owner) && mayUse(models, config.modelName, known, owner !== undefined);
  });
}

/** Without a word of the edge about the caller nothing may be used. */
function mayUse(models: CallerModels | undefined, name: string, known: ModelNames, ofTeam: boolean): boolean {
  return models !== undefined && levelsAllow(models, name, known, ofTeam);
}

/** How a caller comes to a deployment: for everybody, or by a team. */
export function accessFacts({ config }: RegistryMember): JsonObject {
  const owner = config.about.teamId;
  return { direct_access: owner === undefined, access_via_team_ids: owner === undefined ? [] : [owner] };
}
