import type { ProviderCall, UpstreamRequest } from "../../provider.ts";
import { awsDomain, awsRequest, regionOf } from "../aws-request.ts";

/**
 * The HTTP request for a body to an endpoint, which is the call's model:
 * https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
 */
export function upstreamRequest(call: ProviderCall, body: Uint8Array): UpstreamRequest {
  const given = call.baseUrl || (call.settings.sagemaker_base_url ?? "").replace(/\/+$/, "");
  const region = regionOf(call, "", given);
  const base = given || `https://runtime.sagemaker.${region}.${awsDomain(region)}`;
  const method = call.stream ? "invocations-response-stream" : "invocations";
  const whole = /\/invocations(?:-response-stream)?$/.test(base);
  const url = whole ? base : `${base}/endpoints/${encodeURIComponent(call.model)}/${method}`;
  const component = call.settings.model_id ?? "";
  const headers: Record<string, string> = component === "" ? {} : { "x-amzn-sagemaker-inference-component": component };
  const accept = call.stream ? "application/vnd.amazon.eventstream" : "application/json";
  return awsRequest(call, { url, scope: { region, service: "sagemaker" }, accept, headers }, body);
}
