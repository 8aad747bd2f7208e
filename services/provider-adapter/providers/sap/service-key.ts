import { Secret } from "#chassis/secret.ts";
import type { JsonObject, ProviderCall, TokenGrant } from "../../provider.ts";
import { isObject, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";

/** What a call to SAP AI Core is authorized by. */
export interface ServiceKey {
  /** An access token that was given as it is. */
  readonly token: string;
  /** Undefined where a part is missing. */
  readonly grant: TokenGrant | undefined;
  /** The address of the AI API without a version; empty where the key names none. */
  readonly apiUrl: string;
}

/**
 * Reads a service key, the JSON that SAP's cockpit gives out: as `api_key`, as `aicore_service_key`, or its parts as
 * `aicore_client_id`, `aicore_client_secret` and `aicore_auth_url`. An `api_key` that is no JSON is an access token.
 */
export function readServiceKey({ credential }: ProviderCall): ServiceKey {
  const text = credential?.reveal().trim() ?? "";
  const secrets = parseObject(text) ?? {};
  const token = text.startsWith("{") ? "" : text;
  const key = keyIn(secrets.aicore_service_key) ?? keyIn(secrets.api_key) ?? secrets;
  const id = textOf(key.clientid) || textOf(secrets.aicore_client_id);
  const secret = textOf(key.clientsecret) || textOf(secrets.aicore_client_secret);
  const server = textOf(key.url) || textOf(secrets.aicore_auth_url);
  const apiUrl = textOf(objectOf(key.serviceurls).AI_API_URL).replace(/\/+$/, "");
  if (id === "" || secret === "" || server === "") return { token, grant: undefined, apiUrl };
  const grant: TokenGrant = {
    provider: "sap",
    owner: "SAP",
    url: `${server.replace(/(?:\/oauth\/token)?\/*$/, "")}/oauth/token`,
    form: { grant_type: "client_credentials" },
    basic: new Secret(Buffer.from(`${id}:${secret}`).toString("base64")),
  };
  return { token, grant, apiUrl };
}

function keyIn(value: JsonObject[string] | undefined): JsonObject | undefined {
  return isObject(value) ? value : parseObject(textOf(value));
}
