import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest } from "../bearer-request.ts";

export const providerId = "triton";

/** A method of the server: `generate` for texts, `infer` for tensors. */
export type TritonMethod = "generate" | "generate_stream" | "infer";

/** Whether a deployment's address asks for tensors. */
export function isTensorAddress({ baseUrl }: ProviderCall): boolean {
  return baseUrl.endsWith("/infer");
}

/**
 * The request for a method: below the server's address by the model's name, or at the address that names model and method
 * already. https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_generate.html
 */
export function upstreamRequest(call: ProviderCall, method: TritonMethod, body: JsonObject): UpstreamRequest {
  if (call.baseUrl === "") throw gatewayError(Reason.INVALID_REQUEST, "no address for triton: set api_base");
  const base = call.baseUrl.replace(/\/(?:generate|generate_stream|infer)$/, "");
  const model = /\/models\/[^/]+/.test(base)
    ? ""
    : `${base.endsWith("/v2") ? "" : "/v2"}/models/${encodeURIComponent(call.model)}`;
  return bearerRequest(call, { id: providerId }, `${base}${model}/${method}`, body);
}
