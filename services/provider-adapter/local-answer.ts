import { setTimeout as sleep } from "node:timers/promises";
import type { InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { InferAnswer } from "./infer-answer.ts";
import type { LocalAnswer } from "./provider.ts";

/** Payloads without a wait between them travel together, up to so many. */
const maxTogether = 64;

/** Plays an answer that a provider made itself. */
export async function* playLocally(
  local: LocalAnswer,
  answer: InferAnswer,
  signal: AbortSignal,
): AsyncGenerator<InferResponse> {
  const steps = local.steps[Symbol.iterator]();
  let together: Uint8Array[] = [];
  let step = steps.next();
  while (step.done !== true) {
    const { afterMs, payload } = step.value;
    if (together.length > 0 && (afterMs > 0 || payload.length === 0 || together.length >= maxTogether)) {
      yield answer.chunk(together, false);
      together = [];
    }
    if (afterMs > 0) await sleep(afterMs, undefined, { signal });
    step = steps.next();
    if (payload.length === 0) continue;
    if (!answer.started) yield answer.start({});
    if (step.done !== true) {
      together.push(payload);
      continue;
    }
    if (together.length > 0) yield answer.chunk(together, false);
    yield answer.chunk([payload], true);
  }
  yield answer.finish(local.outcome());
}
