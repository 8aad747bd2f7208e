import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest } from "../bearer-request.ts";

export const providerId = "langgraph";

const ownAddress = "http://localhost:2024";

/** The HTTP request for a run. A server on one's own machine needs no key. */
export function upstreamRequest(call: ProviderCall, body: JsonObject): UpstreamRequest {
  const base = call.baseUrl === "" ? ownAddress : call.baseUrl.replace(/\/runs(?:\/(?:wait|stream))?$/, "");
  const request = bearerRequest(call, { id: providerId }, `${base}/runs/${call.stream ? "stream" : "wait"}`, body);
  const key = call.credential?.reveal().trim() ?? "";
  return key === "" ? request : { ...request, headers: { ...request.headers, "x-api-key": key } };
}
