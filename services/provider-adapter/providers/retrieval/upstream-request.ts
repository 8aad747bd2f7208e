import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import type { RetrievalRow } from "./retrieval-row.ts";

/** Headers that the transport decides, and those of other dialects. */
const notForwarded =
  /^(?:host|connection|content-length|content-type|content-encoding|accept-encoding|openai-.*|anthropic-.*)$/;

/** The HTTP request for a body at an endpoint, `embeddings` or `rerank`. */
export function upstreamRequest(
  row: RetrievalRow,
  call: ProviderCall,
  endpoint: "embeddings" | "rerank",
  body: JsonObject,
): UpstreamRequest {
  const headers: Record<string, string> = {};
  const key = call.credential?.reveal().trim() ?? "";
  if (!/^[\x21-\x7e]*$/.test(key)) {
    throw authenticationError(row, `the key of ${row.id} holds characters that no header can carry`);
  }
  if (key !== "") headers.authorization = `Bearer ${key}`;
  else if (call.baseUrl === "" && call.headers.authorization === undefined) {
    throw authenticationError(row, `no key for ${row.id}: set ${row.keyVariable}`);
  }
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers.accept = "application/json";
  const base = call.baseUrl === "" ? row.baseUrl : call.baseUrl.replace(/\/(?:embeddings|rerank)$/, "");
  return { method: "POST", url: `${base}/${endpoint}`, headers, body: Buffer.from(JSON.stringify(body)) };
}

function authenticationError(row: RetrievalRow, message: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider: row.id,
    retryable: false,
    message,
    type: "authentication_error",
    code: "invalid_api_key",
  });
}
