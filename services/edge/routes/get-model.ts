import { type Client, ConnectError } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { callerModels } from "../caller-models.ts";
import type { HttpCall } from "../http-call.ts";
import { toModel } from "./list-models.ts";

/** https://platform.openai.com/docs/api-reference/models/retrieve, in the shape that `list-models.ts` gives the client. */
export function getModel(models: Client<typeof ModelService>, timeoutMs: number) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const id = call.pathParameter;
    const options = { signal: call.signal, timeoutMs };
    const ask = (of: Principal) =>
      models.getModel({ id, callerModels: callerModels(of), teamId: of.teamId }, options).catch((error: unknown) => {
        if (findGatewayError(ConnectError.from(error))?.reason === Reason.MODEL_NOT_FOUND) return { model: undefined };
        throw error;
      });
    // A token of several teams may use what any of them may.
    let { model } = await ask(principal);
    for (const other of principal.alternatives) model ??= (await ask(other)).model;
    if (model === undefined) throw gatewayError(Reason.MODEL_NOT_FOUND, `The model '${id}' does not exist`);
    call.sendJson(200, toModel(call, model));
  };
}
