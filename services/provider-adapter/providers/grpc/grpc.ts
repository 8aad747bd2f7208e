import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Provider } from "../../provider.ts";
import { classifyError } from "../openai-compatible/errors.ts";

/**
 * Any service that implements InferenceService of the inference protocol, at the address of the deployment. It gets the
 * client's bytes in the client's dialect, and answers in it.
 */
export const grpc: Provider = {
  id: "grpc",
  relays: true,
  takesGenerateContent: true,
  begin() {
    throw gatewayError(Reason.OPERATION_UNSUPPORTED, "grpc calls a gRPC service: there is no HTTP request to show");
  },
  classifyError: (status, headers, body) => classifyError("grpc", status, headers, body),
};
