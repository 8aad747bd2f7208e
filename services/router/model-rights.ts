import { create } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Caller, CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type ModelRights, ModelRightsSchema } from "#gen/sluice/inference/v1/limits_pb.ts";
import type { CallerModels } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { ProviderNames } from "./provider-table.ts";
import { compileGlob, globMatch } from "./registry/glob.ts";
import type { Registry } from "./registry/registry.ts";

/** LiteLLM's word for all models of the gateway. */
const everyModel = "all-proxy-models";

/** What a name in a list of models may mean. */
export interface ModelNames {
  readonly names: ProviderNames;
  readonly registry: Pick<Registry, "accessGroup" | "namesOf">;
}

/**
 * Whether these rights (`Principal.models`) allow a model name: no entry means every model; else an entry equals the
 * name, matches it as a pattern, or is a model access group that has the name. A pattern such as `openai/*` also covers
 * the bare well-known names of the provider.
 */
export function allowsModel(rights: readonly string[], name: string, known: ModelNames): boolean {
  return rights.length === 0 || listAllows(rights, name, known, false);
}

function listAllows(rights: readonly string[], name: string, known: ModelNames, inGroup: boolean): boolean {
  let prefixed: string | undefined;
  for (const right of rights) {
    if (right === name || right === "*" || right === everyModel) return true;
    if (!right.includes("*")) {
      const group = inGroup ? undefined : known.registry.accessGroup(right);
      if (group !== undefined && listAllows(group, name, known, true)) return true;
      continue;
    }
    const glob = compileGlob(right);
    if (globMatch(glob, name) !== undefined) return true;
    prefixed ??= withProvider(name, known.names);
    if (globMatch(glob, prefixed) !== undefined) return true;
  }
  return false;
}

/**
 * Whether every level above a key and the key itself allow a name. Absent means that nothing is restricted. What a team
 * has of its own is in no need of the team's permission.
 */
export function levelsAllow(
  models: CallerModels | undefined,
  name: string,
  known: ModelNames,
  ofTeam = false,
): boolean {
  return (models?.levels ?? []).every(
    (level) => (ofTeam && level.level === "team") || allowsModel(level.models, name, known),
  );
}

/** The same for a caller and everybody above it: the master key may use everything, a caller of no kind nothing. */
export function callerAllows(caller: Caller | undefined, name: string, known: ModelNames): boolean {
  if (caller === undefined || caller.kind === CallerKind.UNSPECIFIED) return false;
  return caller.kind === CallerKind.MASTER || denyingLevel(caller, name, known) === undefined;
}

/** Whose list lacks the model; undefined where all allow it. */
function denyingLevel(caller: Caller, name: string, known: ModelNames): ModelRights | undefined {
  if (!allowsModel(caller.models, name, known))
    return create(ModelRightsSchema, { level: "key", models: caller.models });
  // What a team has of its own is in no need of the team's permission.
  const ofTeam = caller.teamId !== "" && known.registry.namesOf(caller.teamId).includes(name);
  return caller.rights.find(({ level, models }) => !(ofTeam && level === "team") && !allowsModel(models, name, known));
}

/** The refusal in LiteLLM's words. */
export function accessDenied(caller: Caller | undefined, name: string, known: ModelNames): ConnectError {
  const denying = caller && denyingLevel(caller, name, known);
  const level = denying?.level ?? "key";
  const models = (denying?.models ?? []).map((model) => `'${model}'`).join(", ");
  return gatewayError(
    Reason.MODEL_ACCESS_DENIED,
    `${level} not allowed to access model. This ${level} can only access models=[${models}]. Tried to access ${name}`,
    { param: "model", level },
  );
}

function withProvider(name: string, names: ProviderNames): string {
  if (name.includes("/")) return name;
  const found = names.split(name);
  return found === undefined ? name : `${found.provider.id}/${found.model}`;
}
