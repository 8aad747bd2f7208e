import type { ServiceImpl } from "@connectrpc/connect";
import type { InferenceService, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { admitCall } from "../routing/admit-call.ts";
import type { RouterCore } from "../routing/model-call.ts";

/**
 * Runs one model call. The last chunk waits here until the adapter has said what was used and the journal has it: a
 * client cannot have seen the end of an answer that is not recorded.
 */
export function createInfer(core: RouterCore): ServiceImpl<typeof InferenceService>["infer"] {
  return async function* infer(request, { signal }) {
    const admitted = admitCall(core, request, signal);
    const call = admitted instanceof Promise ? await admitted : admitted;
    try {
      yield await call.open();
      let held: InferResponse | undefined;
      for (;;) {
        const response = await call.next();
        const { event } = response;
        if (event.case === "finished") {
          call.finish(event.value);
          if (held !== undefined) yield held;
          yield response;
          await call.drain();
          return;
        }
        if (event.case !== "chunk") continue;
        if (held !== undefined) yield held;
        held = event.value.last ? response : undefined;
        if (held === undefined) yield response;
      }
    } finally {
      call.close();
    }
  };
}
