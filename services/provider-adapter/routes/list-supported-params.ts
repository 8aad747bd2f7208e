import type { MessageInitShape } from "@bufbuild/protobuf";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type {
  ListSupportedParamsRequest,
  ListSupportedParamsResponseSchema,
} from "#gen/sluice/inference/v1/request_service_pb.ts";
import { readCall } from "../provider-call.ts";
import { supportedParams } from "../supported-params.ts";
import type { InferParts } from "./infer.ts";

/** Answers from the provider's own translation, so that nothing is listed that a call would not do. */
export function listSupportedParams(parts: InferParts) {
  return async ({
    call: request,
  }: ListSupportedParamsRequest): Promise<MessageInitShape<typeof ListSupportedParamsResponseSchema>> => {
    if (request === undefined) throw gatewayError(Reason.INVALID_REQUEST, "the request holds no call");
    const { provider, call } = await readCall(parts, request);
    return { params: supportedParams(provider, call) };
  };
}
