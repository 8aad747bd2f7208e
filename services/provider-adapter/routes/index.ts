import { type Implementation, implement } from "#chassis/service.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { countTokens } from "./count-tokens.ts";
import { type InferParts, infer } from "./infer.ts";
import { listSupportedParams } from "./list-supported-params.ts";
import { preview } from "./preview.ts";

/** The RPCs the adapter serves. */
export function routes(parts: InferParts): Implementation[] {
  return [
    implement(InferenceService, { infer: infer(parts) }),
    implement(RequestService, {
      preview: preview(parts),
      countTokens: countTokens(parts),
      listSupportedParams: listSupportedParams(parts),
    }),
  ];
}
