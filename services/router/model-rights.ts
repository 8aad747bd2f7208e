import { type Caller, CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
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

/** The same for a caller: the master key may use everything, nobody and a caller of no kind nothing. */
export function callerAllows(caller: Caller | undefined, name: string, names: ProviderNames): boolean {
  if (caller === undefined || caller.kind === CallerKind.UNSPECIFIED) return false;
  return caller.kind === CallerKind.MASTER || allowsModel(caller.models, name, names);
}

/** The refusal in LiteLLM's words. */
export function accessDenied(caller: Caller | undefined, name: string): string {
  const models = (caller?.models ?? []).map((model) => `'${model}'`).join(", ");
  return `key not allowed to access model. This key can only access models=[${models}]. Tried to access ${name}`;
}

function withProvider(name: string, names: ProviderNames): string {
  if (name.includes("/")) return name;
  const found = names.split(name);
  return found === undefined ? name : `${found.provider.id}/${found.model}`;
}
