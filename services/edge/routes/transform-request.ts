import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { invalidRequest, isObject, parseObject } from "../body-json.ts";
import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import { readInferRequest } from "../infer-request.ts";
import { readBody } from "../read-body.ts";

/** LiteLLM's names of the calls, each also with an `a` before it. */
const operations: ReadonlyMap<unknown, Operation> = new Map(
  Object.entries({
    completion: Operation.CHAT_COMPLETIONS,
    text_completion: Operation.COMPLETIONS,
    embedding: Operation.EMBEDDINGS,
    responses: Operation.RESPONSES,
    rerank: Operation.RERANK,
    anthropic_messages: Operation.MESSAGES,
    generate_content: Operation.GENERATE_CONTENT,
    embed_content: Operation.EMBED_CONTENT,
  }).flatMap(([name, operation]): [string, Operation][] => [
    [name, operation],
    [`a${name}`, operation],
  ]),
);

/**
 * LiteLLM's `POST /utils/transform_request`, for the master key: the request that the provider would be sent for
 * `{call_type, request_body}`, with credentials masked. Not bound by the REST transcoder: the body inside has to be read
 * as a call's own is, with the gateway's fields taken out.
 */
export function transformRequest({ clients, config }: EdgeContext) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    if (principal.kind !== CallerKind.MASTER) {
      throw gatewayError(
        Reason.PERMISSION_DENIED,
        `Authentication Error, Only proxy admin can be used to call this. Route=${call.routeName}.`,
      );
    }
    const { call_type, request_body } = parseObject(await readBody(call.request, config.maxBodyBytes));
    const operation = operations.get(call_type);
    if (operation === undefined) {
      throw invalidRequest(`'call_type' must be one of ${[...operations.keys()].join(", ")}.`, "call_type");
    }
    if (!isObject(request_body)) throw invalidRequest("'request_body' must be an object.", "request_body");
    const bytes = Buffer.from(JSON.stringify(request_body));
    const request = readInferRequest({ operation, bytes, headers: {}, pathModel: "", callId: call.callId, principal });
    const options = { signal: call.signal, timeoutMs: config.restTimeoutMs };
    const shown = await clients.requests.preview({ call: request }, options);
    call.sendJson(200, {
      raw_request_method: shown.method,
      raw_request_api_base: shown.url,
      raw_request_headers: shown.headers,
      raw_request_body: parseObject(Buffer.from(shown.body)),
      error: null,
    });
  };
}
