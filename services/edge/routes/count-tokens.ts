import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import { readInferRequest } from "../infer-request.ts";
import { readBody } from "../read-body.ts";

/** The dialects in which tokens are counted, and the member of the answer that has the number. */
const answerNames = {
  [Operation.MESSAGES]: "input_tokens",
  [Operation.GENERATE_CONTENT]: "totalTokens",
} as const;

/**
 * https://platform.claude.com/docs/en/api/messages-count-tokens and https://ai.google.dev/api/tokens, for every model.
 * Where the provider cannot count, the number is the gateway's estimate, from above, and the header
 * `x-sluice-token-count: estimated` says so.
 */
export function countTokens({ clients, config }: EdgeContext, operation: keyof typeof answerNames) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const bytes = await readBody(call.request, config.maxBodyBytes);
    const { headers } = call.request;
    const { callId, pathParameter: pathModel } = call;
    const request = readInferRequest({ operation, bytes, headers, pathModel, callId, principal, stream: false });
    call.callId = request.callId;
    const options = { signal: call.signal, timeoutMs: config.restTimeoutMs };
    const { inputTokens, estimated } = await clients.requests.countTokens({ call: request }, options);
    const source = estimated ? "estimated" : "provider";
    call.sendJson(200, { [answerNames[operation]]: Number(inputTokens) }, ["x-sluice-token-count", source]);
  };
}
