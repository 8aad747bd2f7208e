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
    const ask = async (of: Principal) => {
      const question = { id, callerModels: callerModels(of), teamId: of.teamId };
      const { model } = await models.getModel(question, options);
      if (model === undefined) throw gatewayError(Reason.MODEL_NOT_FOUND, `The model '${id}' does not exist`);
      return model;
    };
    // A token of several teams may use what any of them may.
    let found = ask(principal);
    for (const other of principal.alternatives) found = found.catch(unlessFound(() => ask(other)));
    call.sendJson(200, toModel(call, await found));
  };
}

/** Asks again where the answer was that there is no such model. */
function unlessFound<T>(again: () => Promise<T>) {
  return (error: unknown): Promise<T> => {
    const reason = findGatewayError(ConnectError.from(error))?.reason;
    if (reason === Reason.NOT_FOUND || reason === Reason.MODEL_NOT_FOUND) return again();
    throw error;
  };
}
