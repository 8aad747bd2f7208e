import type { Caller } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { callerAllows } from "../model-rights.ts";
import type { RouterCore } from "./model-call.ts";

/**
 * The call in the name of the first team of its caller that may use the model and has it; as it is where the caller has
 * one team alone, or none of them may.
 */
export function inActingTeam(core: RouterCore, call: InferRequest): InferRequest {
  const { caller, model } = call;
  if (caller === undefined || caller.alternatives.length === 0) return call;
  const has = (each: Caller, name: string) =>
    callerAllows(each, name, core) && core.registry.resolve(name, each.teamId) !== undefined;
  const acting = has(caller, model) ? undefined : caller.alternatives.find((each) => has(each, each.model));
  return acting === undefined ? call : { ...call, caller: acting, model: acting.model };
}
