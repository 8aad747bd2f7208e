import { createHash } from "node:crypto";
import type { AccessToken, TokenCredential } from "@azure/identity";
import type { Authorizer } from "../authorize.ts";
import { type AzureIdentity, readAzureIdentity } from "../azure-identity.ts";
import { createTokenCache } from "./token-cache.ts";
import { refusedCredential, tokenFailure } from "./token-server.ts";

const timeoutMs = 15_000;
/** What authorizes a request: of Azure, or of Anthropic's dialect there. */
const keyHeaders = ["authorization", "api-key", "x-api-key"] as const;
/** The tenant of a user whose application names none. */
const anyOrganization = "organizations";

/** Gets a token of Microsoft Entra ID. */
export type AskEntra = (identity: AzureIdentity) => Promise<AccessToken | null>;

/**
 * Adds an access token of Microsoft Entra ID to requests that carry neither a key nor a token,
 * https://learn.microsoft.com/azure/ai-foundry/openai/how-to/managed-identity. `now` is the time in milliseconds since 1970.
 */
export function createAzureToken(now: () => number, ask: AskEntra = askEntra): Authorizer {
  const tokens = createTokenCache(now);
  return async (call, request, signal) => {
    if (keyHeaders.some((name) => request.headers[name] !== undefined)) return request;
    const identity = readAzureIdentity(call);
    if (identity === undefined) return request;
    const fetchOne = async () => {
      const token = await ask(identity).catch((cause: unknown) => {
        throw entraFailure(cause);
      });
      if (token === null) throw refusedCredential("azure", "Microsoft Entra ID gave no token");
      return { value: token.token, lifetimeMs: token.expiresOnTimestamp - now() };
    };
    const token = await tokens(idOf(identity), fetchOne, signal);
    return { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } };
  };
}

function idOf(identity: AzureIdentity): string {
  const parts = [...Object.values({ ...identity, secret: identity.secret.reveal() })];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** The library is loaded with the first token that is asked for. */
async function askEntra(identity: AzureIdentity): Promise<AccessToken | null> {
  const credential = await createCredential(identity);
  return credential.getToken(identity.scope, { abortSignal: AbortSignal.timeout(timeoutMs) });
}

async function createCredential(identity: AzureIdentity): Promise<TokenCredential> {
  const { tenantId, clientId, username, tokenFile } = identity;
  const azure = await import("@azure/identity");
  // An authority that the operator names is not looked up in Microsoft's list: private clouds are not in it.
  const options =
    identity.authorityHost === "" ? {} : { authorityHost: identity.authorityHost, disableInstanceDiscovery: true };
  const known = clientId === "" ? {} : { clientId };
  switch (identity.kind) {
    case "secret":
      return new azure.ClientSecretCredential(tenantId, clientId, identity.secret.reveal(), options);
    case "password":
      return new azure.UsernamePasswordCredential(
        tenantId || anyOrganization,
        clientId,
        username,
        identity.secret.reveal(),
        options,
      );
    case "workload":
      return new azure.WorkloadIdentityCredential({ ...options, tenantId, clientId, tokenFilePath: tokenFile });
    case "managed":
      return new azure.ManagedIdentityCredential({ ...options, ...known });
    case "default":
      return new azure.DefaultAzureCredential({ ...options, managedIdentityClientId: clientId || undefined });
  }
}

/** The library's errors tell the status where Entra ID answered. Their first line says what is wrong. */
function entraFailure(cause: unknown): Error {
  const [line = ""] = (cause instanceof Error ? cause.message : "").split(/[\r\n]/, 1);
  const status = statusOf(cause);
  if (status !== undefined && (status >= 500 || status === 429)) {
    return tokenFailure("azure", `Microsoft Entra ID answered ${status}`, cause);
  }
  if (status === undefined && isNetworkFailure(cause)) {
    return tokenFailure("azure", "Microsoft Entra ID cannot be reached", cause);
  }
  return refusedCredential("azure", `Microsoft Entra ID refused the credential of azure: ${line.slice(0, 300)}`);
}

function statusOf(cause: unknown): number | undefined {
  if (!(cause instanceof Error) || !("statusCode" in cause)) return undefined;
  return typeof cause.statusCode === "number" ? cause.statusCode : undefined;
}

function isNetworkFailure(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const told = `${cause.name} ${"code" in cause ? String(cause.code) : ""} ${cause.message}`;
  return /AbortError|REQUEST_SEND_ERROR|network_error|endpoints_resolution_error|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET/.test(
    told,
  );
}
