import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest, missingCredential } from "../bearer-request.ts";
import { readServiceKey } from "./service-key.ts";

export const providerId = "sap";

const defaultGroup = "default";

/**
 * The HTTP request for an endpoint of the orchestration service, `/v2/completion` for example. The authorizer
 * `sap-deployment` adds the token and the deployment where the address names none.
 */
export function upstreamRequest(call: ProviderCall, endpoint: string, body: JsonObject): UpstreamRequest {
  const { token, grant, apiUrl } = readServiceKey(call);
  if (token === "" && grant === undefined && call.headers.authorization === undefined) {
    throw missingCredential(
      providerId,
      "no credential for sap: set api_key or AICORE_SERVICE_KEY to a service key, or AICORE_CLIENT_ID, AICORE_CLIENT_SECRET and AICORE_AUTH_URL",
    );
  }
  const request = bearerRequest(call, { id: providerId }, `${deploymentOf(call, apiUrl)}${endpoint}`, body, token);
  const headers = { ...request.headers, "ai-resource-group": call.settings.aicore_resource_group ?? defaultGroup };
  return grant === undefined ? { ...request, headers } : { ...request, headers, tokenGrant: grant };
}

/** The base address may be a deployment's own, or that of the AI API. */
function deploymentOf({ baseUrl }: ProviderCall, apiUrl: string): string {
  const base = baseUrl === "" ? apiUrl : baseUrl;
  if (base === "") {
    throw gatewayError(Reason.INVALID_REQUEST, "sap needs an address: set api_base or AICORE_BASE_URL.", {
      param: "model",
    });
  }
  if (base.includes("/deployments/")) return base.replace(/\/(?:v2\/)?completion$/, "");
  return `${base.replace(/\/v2$/, "")}/v2/inference/deployments/{deploymentId}`;
}
