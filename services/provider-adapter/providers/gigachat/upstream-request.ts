import { Secret } from "#chassis/secret.ts";
import type { JsonObject, ProviderCall, TokenGrant, UpstreamRequest } from "../../provider.ts";
import { bearerRequest } from "../bearer-request.ts";

export const providerId = "gigachat";

const ownAddress = "https://gigachat.devices.sberbank.ru/api/v1";
const tokenAddress = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth";
const defaultScope = "GIGACHAT_API_PERS";

/**
 * The HTTP request for an endpoint. An authorization key is exchanged for a token by the authorizer `oauth-token`,
 * https://developers.sber.ru/docs/ru/gigachat/api/reference/rest/post-token; an access token is sent as it is.
 */
export function upstreamRequest(call: ProviderCall, endpoint: string, body: JsonObject): UpstreamRequest {
  const key = call.credential?.reveal().trim() ?? "";
  const isToken = /^[\w-]+\.[\w-]+\.[\w.-]+$/.test(key);
  const base = call.baseUrl === "" ? ownAddress : call.baseUrl.replace(/\/(?:chat\/completions|embeddings)$/, "");
  const isOpen = call.baseUrl !== "" || (key !== "" && !isToken);
  const provider = isOpen ? { id: providerId } : { id: providerId, keyVariable: "GIGACHAT_CREDENTIALS" };
  const request = bearerRequest(call, provider, `${base}${endpoint}`, body, isToken ? key : "");
  return key === "" || isToken ? request : { ...request, tokenGrant: grantOf(call, key) };
}

function grantOf({ settings }: ProviderCall, key: string): TokenGrant {
  return {
    provider: providerId,
    owner: "GigaChat",
    url: settings.gigachat_auth_url ?? tokenAddress,
    form: { scope: settings.gigachat_scope ?? defaultScope },
    basic: new Secret(key.replace(/^Basic /, "")),
    requestIdHeader: "rquid",
  };
}
