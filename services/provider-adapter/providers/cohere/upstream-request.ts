import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { providerId } from "./classify-error.ts";

const ownAddress = "https://api.cohere.com";

/** Headers that the transport decides, and those of other dialects. */
const notForwarded =
  /^(?:host|connection|content-length|content-type|content-encoding|accept-encoding|openai-.*|anthropic-.*)$/;

/** The HTTP request for a body at a path, `/v2/chat` for example. */
export function upstreamRequest(call: ProviderCall, path: string, body: JsonObject | Uint8Array): UpstreamRequest {
  const headers = credentialHeaders(call);
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers.accept = call.stream ? "text/event-stream" : "application/json";
  const bytes = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
  return { method: "POST", url: `${rootOf(call.baseUrl)}${path}`, headers, body: bytes };
}

/** The model without the version that LiteLLM's `cohere_chat/v2/…` puts before it. */
export function modelOf(call: ProviderCall): string {
  return call.model.replace(/^v2\//, "");
}

/** A base address with or without version and endpoint. */
function rootOf(baseUrl: string): string {
  if (baseUrl === "") return ownAddress;
  return baseUrl.replace(/(?:\/v[12])?(?:\/(?:chat|embed|rerank))?$/, "");
}

function credentialHeaders(call: ProviderCall): Record<string, string> {
  const key = call.credential?.reveal().trim() ?? "";
  if (key === "") {
    if (call.baseUrl === "" && call.headers.authorization === undefined) {
      throw authenticationError("no key for cohere: set COHERE_API_KEY");
    }
    return {};
  }
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw authenticationError("the key of cohere holds characters that no header can carry");
  }
  return { authorization: `Bearer ${key}` };
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
