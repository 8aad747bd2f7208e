import { createHash, randomUUID } from "node:crypto";
import { Secret } from "#chassis/secret.ts";
import type { Authorizer } from "../authorize.ts";
import type { TokenGrant } from "../provider.ts";
import { createTokenCache } from "./token-cache.ts";
import { type AskTokenServer, askTokenServer, fetchToken } from "./token-server.ts";

/**
 * Exchanges what a request brings as its `tokenGrant` for an access token, https://www.rfc-editor.org/rfc/rfc6749#section-4,
 * and adds it as a bearer token. A request without a grant passes as it is. `now` is the time in milliseconds since 1970.
 */
export function createOAuthToken(now: () => number, ask: AskTokenServer = askTokenServer): Authorizer {
  const tokens = createTokenCache(now);
  return async (_, request, signal) => {
    const grant = request.tokenGrant;
    if (grant === undefined) return request;
    const form = openForm(grant);
    const fetchOne = () => fetchToken(grant, () => ask(grant.url, new URLSearchParams(form), headersOf(grant)), now());
    const token = await tokens(idOf(grant, form), fetchOne, signal);
    return { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } };
  };
}

/** Everything that a token depends on, without the secrets in it. */
function idOf(grant: TokenGrant, form: Readonly<Record<string, string>>): string {
  const parts = [grant.url, form, grant.basic?.reveal() ?? "", grant.headers ?? {}];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function openForm({ form }: TokenGrant): Record<string, string> {
  return Object.fromEntries(
    Object.entries(form).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]),
  );
}

function headersOf({ headers, basic, requestIdHeader }: TokenGrant): Record<string, string> {
  const all: Record<string, string> = { accept: "application/json", ...headers };
  if (basic !== undefined) all.authorization = `Basic ${basic.reveal()}`;
  if (requestIdHeader !== undefined) all[requestIdHeader] = randomUUID();
  return all;
}
