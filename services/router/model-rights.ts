import { create } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Caller, CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type ModelRights, ModelRightsSchema } from "#gen/sluice/inference/v1/limits_pb.ts";
import type { ProviderNames } from "./provider-table.ts";
import { compileGlob, globMatch } from "./registry/glob.ts";

/** LiteLLM's word for all models of the gateway. */
const everyModel = "all-proxy-models";

/**
 * Whether these rights (`Principal.models`) allow a model name: no entry means every model; else an entry equals the
 * name or matches it as a pattern. A pattern such as `openai/*` also covers the bare well-known names of the provider.
 */
export function allowsModel(rights: readonly string[], name: string, names: ProviderNames): boolean {
  if (rights.length === 0) return true;
  let prefixed: string | undefined;
  for (const right of rights) {
    if (right === name || right === "*" || right === everyModel) return true;
    if (!right.includes("*")) continue;
    const glob = compileGlob(right);
    if (globMatch(glob, name) !== undefined) return true;
    prefixed ??= withProvider(name, names);
    if (globMatch(glob, prefixed) !== undefined) return true;
  }
  return false;
}

/** The same for a caller and everybody above it: the master key may use everything, a caller of no kind nothing. */
export function callerAllows(caller: Caller | undefined, name: string, names: ProviderNames): boolean {
  if (caller === undefined || caller.kind === CallerKind.UNSPECIFIED) return false;
  return caller.kind === CallerKind.MASTER || denyingLevel(caller, name, names) === undefined;
}

/** Whose list lacks the model; undefined where all allow it. */
function denyingLevel(caller: Caller, name: string, names: ProviderNames): ModelRights | undefined {
  if (!allowsModel(caller.models, name, names))
    return create(ModelRightsSchema, { level: "key", models: caller.models });
  return caller.rights.find(({ models }) => !allowsModel(models, name, names));
}

/** The refusal in LiteLLM's words. */
export function accessDenied(caller: Caller | undefined, name: string, names: ProviderNames): ConnectError {
  const denying = caller && denyingLevel(caller, name, names);
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
