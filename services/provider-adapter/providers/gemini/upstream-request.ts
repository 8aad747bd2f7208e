import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { providerId } from "./classify-error.ts";

const ownAddress = "https://generativelanguage.googleapis.com/v1beta";

/** Headers that the transport decides, and those that only another provider understands. */
const notForwarded =
  /^(?:host|connection|content-length|content-type|content-encoding|accept-encoding|openai-.*|anthropic-.*)$/;

/** The HTTP request for a method of a model at AI Studio. The key goes into a header, never into the address. */
export function upstreamRequest(call: ProviderCall, method: string, body: JsonObject | Uint8Array): UpstreamRequest {
  const key = call.credential?.reveal().trim() ?? "";
  if (key === "" && call.baseUrl === "" && call.headers["x-goog-api-key"] === undefined) {
    throw authenticationError(providerId, "no key for gemini: set GEMINI_API_KEY or GOOGLE_API_KEY");
  }
  const headers: Record<string, string> = key === "" ? {} : { "x-goog-api-key": headerValue(providerId, key) };
  const model = call.model
    .replace(/^models\//, "")
    .split("/")
    .map(encodeURIComponent)
    .join("/");
  return {
    method: "POST",
    url: `${modelsAddress(call.baseUrl)}/${model}:${method}`,
    headers: withCallHeaders(headers, call),
    body: bodyBytes(body),
  };
}

/** A body as bytes: the client's own, or those of a translated one. */
export function bodyBytes(body: JsonObject | Uint8Array): Uint8Array {
  return body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
}

/** Headers of the client's dialect and of the deployment, which win over the credential, and those of the body. */
export function withCallHeaders(credential: Record<string, string>, call: ProviderCall): Record<string, string> {
  const headers = { ...credential };
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers.accept = call.stream ? "text/event-stream" : "application/json";
  return headers;
}

/** A key as a header can carry it. */
export function headerValue(provider: string, key: string): string {
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw authenticationError(provider, `the key of ${provider} holds characters that no header can carry`);
}

export function authenticationError(provider: string, message: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider,
    retryable: false,
    message,
    type: "authentication_error",
    code: "invalid_api_key",
  });
}

/** A base address with or without its version, or with `/models` already. */
function modelsAddress(baseUrl: string): string {
  if (baseUrl === "") return `${ownAddress}/models`;
  if (baseUrl.endsWith("/models")) return baseUrl;
  return /\/v\d+[a-z0-9]*$/.test(baseUrl) ? `${baseUrl}/models` : `${baseUrl}/v1beta/models`;
}
