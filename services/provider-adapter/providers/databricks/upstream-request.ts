import { gatewayError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { ProviderCall, TokenGrant } from "../../provider.ts";
import { parseObject, textOf } from "../../translate/json-reading.ts";
import { missingCredential } from "../bearer-request.ts";

export const providerId = "databricks";

/** Where a workspace's endpoints are, and the path of an operation below it where the user gave one endpoint's address. */
export interface DatabricksAddress {
  /** Without a trailing slash. */
  readonly base: string;
  /** `invocations` for the address of one endpoint; empty for a workspace. */
  readonly path: string;
}

/** Reads `api_base`: a workspace, with or without `/serving-endpoints`, or `…/serving-endpoints/{name}/invocations`. */
export function readAddress(call: ProviderCall): DatabricksAddress {
  if (call.baseUrl === "") {
    throw gatewayError(Reason.INVALID_REQUEST, "no address for databricks: set api_base or DATABRICKS_API_BASE");
  }
  const endpoint = /^(.*\/serving-endpoints\/[^/]+)\/invocations$/.exec(call.baseUrl)?.[1];
  if (endpoint !== undefined) return { base: endpoint, path: "invocations" };
  const base = call.baseUrl.replace(/\/(?:chat\/completions|completions|embeddings)$/, "");
  const isWorkspace = /^https?:\/\/[^/]+$/.test(base);
  return { base: isWorkspace ? `${base}/serving-endpoints` : base, path: "" };
}

/** A personal access token, which is sent as it is, or a service principal that gets a token. */
export interface DatabricksCredential {
  readonly token: Secret | undefined;
  readonly grant: TokenGrant | undefined;
}

/**
 * Reads a credential: a token as it is, or a JSON object with `client_secret`, beside the setting `client_id`.
 * https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m
 */
export function readCredential(call: ProviderCall): DatabricksCredential {
  const text = call.credential?.reveal().trim() ?? "";
  const secrets = text.startsWith("{") ? parseObject(text) : undefined;
  const token = secrets === undefined ? text : textOf(secrets.api_key).trim();
  if (token !== "") return { token: new Secret(token), grant: undefined };
  const clientId = call.settings.client_id ?? "";
  const clientSecret = textOf(secrets?.client_secret).trim();
  const origin = URL.parse(call.baseUrl)?.origin;
  if (clientId !== "" && clientSecret !== "" && origin !== undefined) {
    return { token: undefined, grant: principalGrant(`${origin}/oidc/v1/token`, clientId, clientSecret) };
  }
  if (call.headers.authorization !== undefined) return { token: undefined, grant: undefined };
  throw missingCredential(
    providerId,
    "no key for databricks: set DATABRICKS_API_KEY, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET",
  );
}

function principalGrant(url: string, clientId: string, clientSecret: string): TokenGrant {
  return {
    provider: providerId,
    owner: "Databricks",
    url,
    form: { grant_type: "client_credentials", scope: "all-apis" },
    basic: new Secret(Buffer.from(`${clientId}:${clientSecret}`).toString("base64")),
  };
}
