import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { accessDenied, callerAllows } from "../model-rights.ts";
import { inActingTeam } from "./acting-team.ts";
import { chooseDeployment } from "./choose-deployment.ts";
import { unavailable } from "./failure.ts";
import type { RouterCore } from "./model-call.ts";

/**
 * The call with the target that a router would try first, for questions about a call that is not run: nothing is
 * admitted, reserved or retried.
 *
 * @throws MODEL_ACCESS_DENIED, MODEL_NOT_FOUND, or what a call gets where no deployment can take it.
 */
export function withTarget(core: RouterCore, asked: InferRequest | undefined): InferRequest {
  if (asked === undefined) throw gatewayError(Reason.INVALID_REQUEST, "the request holds no call", { param: "call" });
  const call = inActingTeam(core, asked);
  const { caller, model, options } = call;
  if (!callerAllows(caller, model, core)) {
    throw accessDenied(caller, model, core);
  }
  const group = core.registry.resolve(model, caller?.teamId);
  if (group === undefined) {
    const message = `Invalid model name passed in model=${model.slice(0, 256)}. Call \`/v1/models\` to view available models.`;
    throw gatewayError(Reason.MODEL_NOT_FOUND, message, { param: "model" });
  }
  const { now, random } = core.runtime;
  const deployment = chooseDeployment(group.deployments, [], now(), random);
  if (deployment === undefined) throw unavailable(group, now()).error;
  const { target } = deployment;
  return {
    ...call,
    target: {
      ...target,
      dropParams: options?.dropParams ?? target.dropParams,
      mockResponse: options?.mockResponse ?? target.mockResponse,
      allowedOpenaiParams: [...target.allowedOpenaiParams, ...(options?.allowedOpenaiParams ?? [])],
    },
  };
}
