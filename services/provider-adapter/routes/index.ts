import { type Implementation, implement } from "#chassis/service.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { type InferParts, infer } from "./infer.ts";

/** The RPCs the adapter serves. */
export function routes(parts: InferParts): Implementation[] {
  return [implement(InferenceService, { infer: infer(parts) })];
}
