import { gatewayError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { AdmissionRequest } from "../admission/admission.ts";
import { accessDenied, callerAllows } from "../model-rights.ts";
import type { ModelGroup } from "../registry/registry.ts";
import { inActingTeam } from "./acting-team.ts";
import { estimateCall } from "./estimate.ts";
import type { RouterCore } from "./model-call.ts";

/** A call that its caller may make, before it is admitted. */
export interface PlannedCall {
  /** In the name of the team that acts. */
  readonly request: InferRequest;
  /** Where it goes first. */
  readonly group: ModelGroup;
  /** What it is to be admitted for, once for all its attempts. */
  readonly admission: AdmissionRequest;
}

/** Checks the caller's rights, finds the model and estimates the call. */
export function planCall(core: RouterCore, asked: InferRequest): PlannedCall {
  const request = inActingTeam(core, asked);
  const { caller, model } = request;
  if (caller === undefined || !callerAllows(caller, model, core)) {
    throw accessDenied(caller, model, core);
  }
  const group = core.registry.resolve(model, caller.teamId);
  if (group === undefined) throw unknownModel(core, model);
  const estimate = estimateCall(request, reachableGroups(core, request, group), core.runtime.now());
  const { callId, operation, stream } = request;
  return { request, group, admission: { callId, operation, model, stream, caller, estimate } };
}

function unknownModel(core: RouterCore, model: string) {
  const shown = model.length > 256 ? `${model.slice(0, 256)}…` : model;
  const variable = core.registry.missingVariable(model);
  const hint = variable === undefined ? "" : ` Its provider is served as soon as ${variable} is set.`;
  return gatewayError(
    Reason.MODEL_NOT_FOUND,
    `Invalid model name passed in model=${shown}. Call \`/v1/models\` to view available models for your key.${hint}`,
    { param: "model" },
  );
}

const kinds = [undefined, UpstreamErrorKind.CONTEXT_WINDOW, UpstreamErrorKind.CONTENT_POLICY] as const;

/** The group itself and every fallback the call may end at: the estimate covers the dearest of them. */
function reachableGroups(core: RouterCore, { options, caller }: InferRequest, primary: ModelGroup): ModelGroup[] {
  const groups = [primary];
  if (options?.disableFallbacks === true) return groups;
  const asked = options?.fallbacks ?? [];
  if (asked.length === 0 && kinds.every((kind) => core.fallbacks(primary.name, kind).length === 0)) return groups;
  const names = new Set(asked);
  for (const kind of kinds) for (const name of core.fallbacks(primary.name, kind)) names.add(name);
  // A Set's iteration sees what is added on the way: fallbacks of fallbacks are reached like this.
  for (const name of names) {
    if (groups.length > maxReach) break;
    const group = callerAllows(caller, name, core) ? core.registry.resolve(name, caller?.teamId) : undefined;
    if (group === undefined || groups.includes(group)) continue;
    groups.push(group);
    for (const kind of kinds) for (const next of core.fallbacks(group.name, kind)) names.add(next);
  }
  return groups;
}

/** Groups looked at for an estimate; a call goes to far fewer. */
const maxReach = 50;
