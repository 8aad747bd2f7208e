import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest } from "../bearer-request.ts";

export const providerId = "langflow";

/** The HTTP request for a run of a flow, which is named by its id or by the name of its endpoint. */
export function upstreamRequest(call: ProviderCall, body: JsonObject): UpstreamRequest {
  if (call.baseUrl === "") {
    throw gatewayError(Reason.INVALID_REQUEST, "langflow needs an address: set api_base or LANGFLOW_API_BASE.", {
      param: "model",
    });
  }
  const base = call.baseUrl.replace(/\/api(?:\/v1(?:\/run)?)?$/, "");
  const url = `${base}/api/v1/run/${encodeURIComponent(call.model)}?stream=${call.stream}`;
  const key = call.credential?.reveal().trim() ?? "";
  const request = bearerRequest(call, { id: providerId }, url, body, "");
  return /^[\x21-\x7e]+$/.test(key) ? { ...request, headers: { ...request.headers, "x-api-key": key } } : request;
}
