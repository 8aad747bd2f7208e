import { createAwsSigV4 } from "./authorizers/aws-sigv4.ts";
import { createAzureToken } from "./authorizers/azure-token.ts";
import { createCopilotToken } from "./authorizers/copilot-token.ts";
import { createGoogleToken } from "./authorizers/google-token.ts";
import { createOAuthToken } from "./authorizers/oauth-token.ts";
import { createOciSignature } from "./authorizers/oci-signature.ts";
import { createSapDeployment } from "./authorizers/sap-deployment.ts";
import type { AuthorizerKind, ProviderCall, UpstreamRequest } from "./provider.ts";

/**
 * Completes a request with what takes a clock or I/O. It may be called for many calls at once, so one that fetches a token
 * keeps it until shortly before it expires, in a bounded cache, and fetches it once for all that wait. Throws the error of
 * `upstreamError`, of kind AUTHENTICATION, where the credential is no good.
 */
export type Authorizer = (
  call: ProviderCall,
  request: UpstreamRequest,
  signal: AbortSignal,
) => UpstreamRequest | Promise<UpstreamRequest>;

export type Authorizers = Readonly<Record<AuthorizerKind, Authorizer>>;

/** Every authorizer there is. `now` is the time in milliseconds since 1970. */
export function createAuthorizers(now: () => number): Authorizers {
  return {
    "aws-sigv4": createAwsSigV4(now),
    "azure-token": createAzureToken(now),
    "copilot-token": createCopilotToken(now),
    "google-token": createGoogleToken(now),
    "oauth-token": createOAuthToken(now),
    "oci-signature": createOciSignature(now),
    "sap-deployment": createSapDeployment(now),
  };
}
