import { nextStep } from "#chassis/rpc/ready.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { Answer } from "../answer.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeEvents } from "../events.ts";
import type { HttpCall } from "../http-call.ts";
import { readInferRequest } from "../infer-request.ts";
import { JsonArrayStream } from "../json-array-stream.ts";
import type { NamedScopes } from "../named-scopes.ts";
import { readBody } from "../read-body.ts";

/**
 * Runs one model call: the body becomes an InferRequest, the events that come back become the answer. `pathStream` says
 * whether the path asks for a stream; undefined where the body does.
 */
export function runInference(
  context: EdgeContext,
  events: EdgeEvents,
  named: NamedScopes,
  operation: Operation,
  pathStream?: boolean,
) {
  const { config, clients } = context;
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const uploadedFrom = performance.now();
    const bytes = await readBody(call.request, config.maxBodyBytes);
    const uploadMs = performance.now() - uploadedFrom;
    const { pathParameter: pathModel, callId } = call;
    const { headers } = call.request;
    const stream = pathStream === undefined ? {} : { stream: pathStream };
    const request = readInferRequest({ operation, bytes, headers, pathModel, callId, principal, ...stream });
    call.callId = request.callId;
    const described = request.caller && named.apply(request.caller, request.model);
    if (described !== undefined) await described;
    const { stalledClientMs } = config;
    const answer = new Answer({ call, request, events, stalledClientMs, uploadMs, array: arrayOf(call, request) });
    const responses = clients.inference.infer(request)[Symbol.asyncIterator]();
    call.onGone(() => responses.return?.());
    try {
      for (;;) {
        const coming = nextStep(responses);
        const step = coming instanceof Promise ? await coming : coming;
        if (step.done === true) break;
        const caughtUp = answer.take(step.value.event);
        if (caughtUp !== undefined) await caughtUp;
      }
      answer.complete();
    } catch (error) {
      void responses.return?.();
      answer.fail(error);
    }
  };
}

/** Google's streams are server-sent events where the client asks for them. https://ai.google.dev/api/generate-content */
function arrayOf({ query }: HttpCall, { operation, stream }: InferRequest): JsonArrayStream | undefined {
  if (operation !== Operation.GENERATE_CONTENT || !stream) return undefined;
  return new URLSearchParams(query).get("alt") === "sse" ? undefined : new JsonArrayStream();
}
