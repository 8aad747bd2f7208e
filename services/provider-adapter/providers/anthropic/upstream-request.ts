import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { ProviderCall, UpstreamRequest } from "../../provider.ts";
import { providerId } from "./classify-error.ts";

const ownAddress = "https://api.anthropic.com";
const defaultVersion = "2023-06-01";
const oauthBeta = "oauth-2025-04-20";

/** Headers that the transport decides, and those that only OpenAI understands. */
const notForwarded = /^(?:host|connection|content-length|content-type|content-encoding|accept-encoding|openai-.*)$/;

/** The HTTP request for a body. `betas` are added to what the client asks for in `anthropic-beta`. */
export function upstreamRequest(call: ProviderCall, body: Uint8Array, betas: readonly string[]): UpstreamRequest {
  const headers = credentialHeaders(call);
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers["anthropic-version"] ??= defaultVersion;
  headers.accept = call.stream ? "text/event-stream" : "application/json";
  const oauth = headers.authorization?.startsWith("Bearer sk-ant-oat") === true ? [oauthBeta] : [];
  const beta = [...betasIn(headers["anthropic-beta"]), ...oauth, ...betas];
  if (beta.length > 0) headers["anthropic-beta"] = [...new Set(beta)].join(",");
  return { method: "POST", url: messagesAddress(call.baseUrl), headers, body };
}

/**
 * An OAuth token is a bearer token and needs its own beta; every other key goes into `x-api-key`. Headers of the
 * deployment win over it. Only another address than Anthropic's own may need no key.
 */
function credentialHeaders(call: ProviderCall): Record<string, string> {
  const key = call.credential?.reveal().trim() ?? "";
  if (key === "") {
    const given = call.headers["x-api-key"] ?? call.headers.authorization;
    if (call.baseUrl === "" && given === undefined)
      throw authenticationError("no key for anthropic: set ANTHROPIC_API_KEY");
    return {};
  }
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw authenticationError("the key of anthropic holds characters that no header can carry");
  }
  return key.startsWith("sk-ant-oat") ? { authorization: `Bearer ${key}` } : { "x-api-key": key };
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

function betasIn(header: string | undefined): string[] {
  return (header ?? "")
    .split(",")
    .map((beta) => beta.trim())
    .filter((beta) => beta !== "");
}

/** A base address with or without its version, or the whole address of the endpoint. */
function messagesAddress(baseUrl: string): string {
  if (baseUrl === "") return `${ownAddress}/v1/messages`;
  if (baseUrl.endsWith("/messages")) return baseUrl;
  return /\/v\d+$/.test(baseUrl) ? `${baseUrl}/messages` : `${baseUrl}/v1/messages`;
}
