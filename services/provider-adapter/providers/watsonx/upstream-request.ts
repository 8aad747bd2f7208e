import { gatewayError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, TokenGrant, UpstreamRequest } from "../../provider.ts";
import { parseObject, textOf } from "../../translate/json-reading.ts";
import { bearerRequest, missingCredential } from "../bearer-request.ts";

/** LiteLLM's, for a deployment that names none. https://cloud.ibm.com/apidocs/watsonx-ai#api-versioning */
const defaultApiVersion = "2024-03-13";
const iamAddress = "https://iam.cloud.ibm.com/identity/token";
const deploymentPrefix = "deployment/";

/** What IBM calls a task: the last part of an address. */
export type WatsonxTask =
  | "text/chat"
  | "text/chat_stream"
  | "text/generation"
  | "text/generation_stream"
  | "text/embeddings"
  | "text/rerank";

/** The members of a body that say which model is asked, and on whose account. A deployment says both by itself. */
export function modelMembers(call: ProviderCall, provider: string): JsonObject {
  if (call.model.startsWith(deploymentPrefix)) return {};
  const project = call.settings.project_id ?? "";
  const space = call.settings.space_id ?? "";
  if (project === "" && space === "") {
    throw gatewayError(
      Reason.INVALID_REQUEST,
      `no project for ${provider}: set WATSONX_PROJECT_ID or project_id, or WATSONX_DEPLOYMENT_SPACE_ID or space_id`,
    );
  }
  return { model_id: call.model, ...(project === "" ? { space_id: space } : { project_id: project }) };
}

/**
 * The HTTP request of a task: `/ml/v1/{task}?version=`, or below `/ml/v1/deployments/{id}` for a deployment. An API key of
 * IBM Cloud is exchanged for a token, https://cloud.ibm.com/apidocs/iam-identity-token-api; a token and a key of Cloud Pak
 * for Data are sent as they are.
 */
export function upstreamRequest(
  call: ProviderCall,
  provider: string,
  task: WatsonxTask,
  body: JsonObject | Uint8Array,
): UpstreamRequest {
  const address = `${baseOf(call, provider)}${pathOf(call.model, task)}`;
  const version = encodeURIComponent(call.settings.api_version || defaultApiVersion);
  const credential = readCredential(call);
  const request = bearerRequest(call, { id: provider }, `${address}?version=${version}`, body, credential.token);
  if (request.headers.authorization !== undefined) return request;
  if (credential.zenKey !== "") {
    return { ...request, headers: { ...request.headers, authorization: `ZenApiKey ${credential.zenKey}` } };
  }
  if (credential.apiKey === "") throw missingCredential(provider, `no key for ${provider}: set WATSONX_APIKEY`);
  return { ...request, tokenGrant: grantOf(call, provider, credential.apiKey) };
}

function grantOf(call: ProviderCall, provider: string, apiKey: string): TokenGrant {
  return {
    provider,
    owner: "IBM Cloud",
    url: call.settings.watsonx_iam_url || iamAddress,
    form: { grant_type: "urn:ibm:params:oauth:grant-type:apikey", apikey: new Secret(apiKey) },
  };
}

function pathOf(model: string, task: WatsonxTask): string {
  if (!model.startsWith(deploymentPrefix)) return `/ml/v1/${task}`;
  return `/ml/v1/deployments/${encodeURIComponent(model.slice(deploymentPrefix.length))}/${task}`;
}

function baseOf(call: ProviderCall, provider: string): string {
  if (call.baseUrl !== "") return call.baseUrl.replace(/\/ml\/v\d.*$/, "");
  const region = call.settings.watsonx_region_name ?? "";
  if (/^[\w-]+$/.test(region)) return `https://${region}.ml.cloud.ibm.com`;
  throw missingCredential(
    provider,
    `${provider} has no address of its own: set WATSONX_URL, api_base or WATSONX_REGION`,
  );
}

interface WatsonxCredential {
  readonly apiKey: string;
  readonly token: string;
  readonly zenKey: string;
}

function readCredential(call: ProviderCall): WatsonxCredential {
  const text = call.credential?.reveal().trim() ?? "";
  const secrets = text.startsWith("{") ? parseObject(text) : undefined;
  if (secrets === undefined) return { apiKey: text, token: "", zenKey: "" };
  const secretOf = (name: string) => textOf(secrets[name]).trim();
  return { apiKey: secretOf("api_key"), token: secretOf("token"), zenKey: secretOf("zen_api_key") };
}
