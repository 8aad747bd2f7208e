import { upstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { readAzureIdentity } from "../../azure-identity.ts";
import type { ProviderCall } from "../../provider.ts";
import { parseObject, textOf } from "../../translate/json-reading.ts";

/** How a call says who it is. */
export interface AzureCredential {
  /** Absent where a header of the deployment carries it, or where a token has to be fetched. */
  readonly secret: Secret | undefined;
  /** `token`: a Microsoft Entra ID access token; `identity`: one has to be fetched, which the authorizer does. */
  readonly kind: "key" | "token" | "identity" | "header";
}

/**
 * Reads a credential: a key as it is, or a JSON object with `api_key`, `azure_ad_token` and the secrets of an identity, of
 * which the first wins. Throws where there is none, naming what to set.
 */
export function readCredential(call: ProviderCall, provider: string, variable: string): AzureCredential {
  const text = call.credential?.reveal().trim() ?? "";
  const secrets = text.startsWith("{") ? parseObject(text) : undefined;
  const key = secrets === undefined ? text : textOf(secrets.api_key).trim();
  if (key !== "") return { secret: new Secret(key), kind: "key" };
  const token = textOf(secrets?.azure_ad_token).trim();
  if (token !== "" && !token.startsWith("oidc/")) return { secret: new Secret(token), kind: "token" };
  if (readAzureIdentity(call) !== undefined) return { secret: undefined, kind: "identity" };
  if (token !== "") {
    throw authenticationError(
      provider,
      `azure_ad_token of ${provider} has to be a token, or oidc/file/<path> beside tenant_id and client_id`,
    );
  }
  if (call.headers["api-key"] !== undefined || call.headers.authorization !== undefined) {
    return { secret: undefined, kind: "header" };
  }
  throw authenticationError(
    provider,
    `no key for ${provider}: set ${variable}, or azure_ad_token, or tenant_id, client_id and client_secret`,
  );
}

function authenticationError(provider: string, message: string): Error {
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
