import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest, missingCredential } from "../bearer-request.ts";

export const providerId = "nlp_cloud";

const ownAddress = "https://api.nlpcloud.io/v1/gpu";

/** The HTTP request for a model's text generation. The key is called a token in its header. */
export function upstreamRequest(call: ProviderCall, body: JsonObject): UpstreamRequest {
  const base = call.baseUrl === "" ? ownAddress : call.baseUrl.replace(/\/+$/, "");
  const url = `${base}/${encodeURIComponent(call.model)}/generation`;
  const request = bearerRequest(call, { id: providerId, keyVariable: "NLP_CLOUD_API_KEY" }, url, body);
  const key = call.credential?.reveal().trim() ?? "";
  if (key === "" || call.headers.authorization !== undefined) return request;
  if (/\s/.test(key)) throw missingCredential(providerId, "the key of nlp_cloud holds a space");
  return { ...request, headers: { ...request.headers, authorization: `Token ${key}` } };
}
