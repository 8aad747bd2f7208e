import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { PreviewRequest, PreviewResponseSchema } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { maskedRequest } from "../masked-request.ts";
import { withMedia } from "../media/with-media.ts";
import { readCall } from "../provider-call.ts";
import type { InferParts } from "./infer.ts";

/**
 * Builds the request of a call and shows it. Files at addresses that the provider wants as bytes are fetched; what an
 * authorizer would add is shown as a masked header.
 */
export function preview(parts: InferParts) {
  return async (
    { call: request }: PreviewRequest,
    { signal }: HandlerContext,
  ): Promise<MessageInitShape<typeof PreviewResponseSchema>> => {
    if (request === undefined) throw gatewayError(Reason.INVALID_REQUEST, "the request holds no call");
    const { target, provider, call } = await readCall(parts, request);
    if (target.mockResponse !== undefined || provider.respondLocally?.(call) !== undefined) {
      throw gatewayError(Reason.OPERATION_UNSUPPORTED, `${provider.id} answers this call without an upstream`);
    }
    const whole = await withMedia(provider, call, parts.media, { signal });
    const masked = maskedRequest(provider.begin(whole).request, call.credential);
    if (provider.authorizer === undefined) return masked;
    return { ...masked, headers: { ...masked.headers, authorization: "*****" } };
  };
}
