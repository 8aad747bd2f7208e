import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { readAwsCredential } from "../aws-credential.ts";
import type { AwsScope, ProviderCall, UpstreamRequest } from "../provider.ts";

/** LiteLLM's, where neither the configuration nor the environment names one. */
const defaultRegion = "us-west-2";

/** Headers that the transport or the signature decides, and those that only other providers understand. */
const notForwarded =
  /^(?:host|connection|content-length|content-type|content-encoding|accept|accept-encoding|x-amz-date|(?:openai|anthropic)-.*)$/;

/** What a request to a service of AWS needs beside its body. */
export interface AwsRequestParts {
  readonly url: string;
  /** The service's name in signatures, which is also its provider's id. */
  readonly scope: AwsScope;
  readonly accept: string;
  /** Lower-case names; the deployment's own headers win. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The HTTP request for a body: with an API key in a header, or to be signed by the authorizer `aws-sigv4`. Only another
 * address than AWS' own may go without: a gateway that signs by itself.
 */
export function awsRequest(call: ProviderCall, parts: AwsRequestParts, body: Uint8Array): UpstreamRequest {
  const { apiKey, keys, webIdentityToken } = readAwsCredential(call.credential);
  const headers: Record<string, string> = { ...parts.headers };
  if (apiKey !== "") headers.authorization = `Bearer ${headerValue(parts.scope.service, apiKey)}`;
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers.accept = parts.accept;
  const request: UpstreamRequest = { method: "POST", url: parts.url, headers, body };
  if (headers.authorization !== undefined) return request;
  const { aws_role_name: role = "", aws_profile_name: profile = "" } = call.settings;
  const isSetUp = keys !== undefined || webIdentityToken !== "" || role !== "" || profile !== "";
  return isSetUp || isAws(parts.url) ? { ...request, awsScope: parts.scope } : request;
}

/** The region that is set; else the one that an address of AWS' names; else LiteLLM's. */
export function regionOf(call: ProviderCall, named: string, address: string): string {
  const region =
    named ||
    call.settings.aws_region_name ||
    (/\.([a-z]{2,4}(?:-[a-z]+)+-\d)\.(?:vpce\.)?(?:amazonaws|api\.aws)/.exec(address)?.[1] ?? defaultRegion);
  if (/^[a-z0-9-]{1,40}$/.test(region)) return region;
  throw gatewayError(Reason.INVALID_REQUEST, "aws_region_name is no region of AWS.", { param: "model" });
}

/** The part of an address behind the region. https://docs.aws.amazon.com/general/latest/gr/rande.html */
export function awsDomain(region: string): string {
  if (region.startsWith("cn-")) return "amazonaws.com.cn";
  return region.startsWith("eusc-") ? "amazonaws.eu" : "amazonaws.com";
}

function isAws(url: string): boolean {
  return /(?:^|\.)(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)$/.test(URL.parse(url)?.hostname ?? "");
}

function headerValue(provider: string, key: string): string {
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider,
    retryable: false,
    message: `the key of ${provider} holds characters that no header can carry`,
    type: "authentication_error",
    code: "invalid_api_key",
  });
}
