import { nextStep } from "#chassis/rpc/ready.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { Answer } from "../answer.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeEvents } from "../events.ts";
import type { HttpCall } from "../http-call.ts";
import { readInferRequest } from "../infer-request.ts";
import { readBody } from "../read-body.ts";

/** Runs one model call: the body becomes an InferRequest, the events that come back become the answer. */
export function runInference(context: EdgeContext, events: EdgeEvents, operation: Operation) {
  const { config, clients } = context;
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const uploadedFrom = performance.now();
    const bytes = await readBody(call.request, config.maxBodyBytes);
    const uploadMs = performance.now() - uploadedFrom;
    const { pathParameter: pathModel, callId } = call;
    const { headers } = call.request;
    const request = readInferRequest({ operation, bytes, headers, pathModel, callId, principal });
    call.callId = request.callId;
    const answer = new Answer({ call, request, events, stalledClientMs: config.stalledClientMs, uploadMs });
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
