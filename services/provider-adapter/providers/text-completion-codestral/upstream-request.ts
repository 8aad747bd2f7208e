import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest } from "../bearer-request.ts";

export const providerId = "text-completion-codestral";

const ownAddress = "https://codestral.mistral.ai/v1";

/** The HTTP request for code between a prompt and a suffix. A base address with or without the endpoint. */
export function upstreamRequest(call: ProviderCall, body: JsonObject): UpstreamRequest {
  const base = call.baseUrl === "" ? ownAddress : call.baseUrl.replace(/\/fim\/completions$/, "");
  const provider = call.baseUrl === "" ? { id: providerId, keyVariable: "CODESTRAL_API_KEY" } : { id: providerId };
  return bearerRequest(call, provider, `${base}/fim/completions`, body);
}
