import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import { readInferRequest } from "../infer-request.ts";

/**
 * LiteLLM's `GET /utils/supported_openai_params?model=`, for a model that the key may use. Not bound by the REST
 * transcoder, which does not tell a service the model rights of a key.
 */
export function listSupportedParams({ clients, config }: EdgeContext) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const model = new URLSearchParams(call.query).get("model") ?? "";
    const request = readInferRequest({
      operation: Operation.CHAT_COMPLETIONS,
      bytes: Buffer.from(JSON.stringify({ model, messages: [] })),
      headers: {},
      pathModel: "",
      callId: call.callId,
      principal,
    });
    const options = { signal: call.signal, timeoutMs: config.restTimeoutMs };
    const { params } = await clients.requests.listSupportedParams({ call: request }, options);
    call.sendJson(200, { supported_openai_params: params });
  };
}
