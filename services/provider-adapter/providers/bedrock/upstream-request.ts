import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { readAwsCredential } from "../../aws-credential.ts";
import type { ProviderCall, UpstreamRequest } from "../../provider.ts";
import type { BedrockModel } from "./bedrock-model.ts";
import { providerId } from "./classify-error.ts";

/** LiteLLM's, where neither the configuration nor the environment names one. */
const defaultRegion = "us-west-2";

/** Headers that the transport or the signature decides, and those that only other providers understand. */
const notForwarded =
  /^(?:host|connection|content-length|content-type|content-encoding|accept|accept-encoding|x-amz-date|(?:openai|anthropic)-.*)$/;

/** The HTTP request for a body: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html */
export function upstreamRequest(call: ProviderCall, model: BedrockModel, body: Uint8Array): UpstreamRequest {
  const { apiKey, keys } = readAwsCredential(call.credential);
  const headers: Record<string, string> = {};
  if (apiKey !== "") headers.authorization = `Bearer ${headerValue(apiKey)}`;
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers.accept = call.stream ? "application/vnd.amazon.eventstream" : "application/json";
  const signs = headers.authorization === undefined && keys !== undefined;
  if (headers.authorization === undefined && !signs && call.baseUrl === "") throw missingCredential();
  const region = regionOf(call, model);
  const base = baseAddress(call, region);
  const url = `${base}/model/${encodeURIComponent(model.id)}/${call.stream ? "converse-stream" : "converse"}`;
  const request: UpstreamRequest = { method: "POST", url, headers, body };
  return signs ? { ...request, awsScope: { region, service: "bedrock" } } : request;
}

function regionOf(call: ProviderCall, model: BedrockModel): string {
  const named = model.region || call.settings.aws_region_name;
  if (named !== undefined && named !== "") return named;
  return /\bbedrock-runtime(?:-fips)?\.([a-z0-9-]+)\./.exec(givenBase(call))?.[1] ?? defaultRegion;
}

function givenBase(call: ProviderCall): string {
  return call.baseUrl || (call.settings.aws_bedrock_runtime_endpoint ?? "").replace(/\/+$/, "");
}

function baseAddress(call: ProviderCall, region: string): string {
  const given = givenBase(call);
  if (given !== "") return given;
  return `https://bedrock-runtime.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

function headerValue(key: string): string {
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw authenticationError("the key of bedrock holds characters that no header can carry");
}

function missingCredential(): Error {
  return authenticationError(
    "no credentials for bedrock: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK",
  );
}

function authenticationError(message: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider: providerId,
    retryable: false,
    message,
    type: "authentication_error",
    code: "invalid_api_key",
  });
}
