import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../provider.ts";

/** Headers that the transport decides, and those of other dialects. */
const notForwarded =
  /^(?:host|connection|content-length|content-type|content-encoding|accept-encoding|openai-.*|anthropic-.*)$/;

/** Whose request it is, and the variable to be set where the key is missing; absent where it may be. */
export interface BearerProvider {
  readonly id: string;
  readonly keyVariable?: string;
}

/** A POST of JSON with a key as its bearer token, and the client's and the deployment's headers. */
export function bearerRequest(
  call: ProviderCall,
  { id, keyVariable }: BearerProvider,
  url: string,
  body: JsonObject | Uint8Array,
  key: string = call.credential?.reveal().trim() ?? "",
): UpstreamRequest {
  const headers: Record<string, string> = {};
  if (!/^[\x21-\x7e]*$/.test(key)) {
    throw missingCredential(id, `the key of ${id} holds characters that no header can carry`);
  }
  if (key !== "") headers.authorization = `Bearer ${key}`;
  else if (keyVariable !== undefined && call.headers.authorization === undefined) {
    throw missingCredential(id, `no key for ${id}: set ${keyVariable}`);
  }
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers.accept = call.stream ? "text/event-stream" : "application/json";
  const bytes = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
  return { method: "POST", url, headers, body: bytes };
}

/** What a user has to set before a call can be made. */
export function missingCredential(provider: string, message: string): Error {
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
