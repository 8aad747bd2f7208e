import { createHash, createSign } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Authorizer } from "../authorize.ts";
import { readGoogleCredential } from "../google-credential.ts";
import type { JsonObject } from "../provider.ts";
import { parseObject, textOf } from "../translate/json-reading.ts";
import { type AskGoogleLibrary, createGoogleLibrary } from "./google-library.ts";
import { createTokenCache, type Token } from "./token-cache.ts";
import { type AskTokenServer, askTokenServer, fetchToken, refusedCredential, tokenFailure } from "./token-server.ts";

const scope = "https://www.googleapis.com/auth/cloud-platform";
const tokenAddress = "https://oauth2.googleapis.com/token";
const server = { provider: "vertex_ai", owner: "Google" };

/**
 * Adds an access token of Google's to requests that carry neither token nor key. A service account's key and a user's
 * refresh token are exchanged here, https://developers.google.com/identity/protocols/oauth2/service-account; other
 * credentials are Google's library's. Without a credential the token is that of the machine this runs on, at Google's own
 * address alone. `now` is the time in milliseconds since 1970.
 */
export function createGoogleToken(
  now: () => number,
  ask: AskTokenServer = askTokenServer,
  askLibrary: AskGoogleLibrary = createGoogleLibrary(now),
): Authorizer {
  const tokens = createTokenCache(now);
  return async (call, request, signal) => {
    const { credentials } = readGoogleCredential(call.credential);
    const { authorization, "x-goog-api-key": apiKey } = request.headers;
    if (authorization !== undefined || apiKey !== undefined) return request;
    if (credentials === "" && call.baseUrl !== "") return request;
    const id = createHash("sha256").update(credentials).digest("hex");
    const token = await tokens(id, () => exchange(credentials, now(), ask, askLibrary), signal);
    return { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } };
  };
}

async function exchange(
  credentials: string,
  nowMs: number,
  ask: AskTokenServer,
  askLibrary: AskGoogleLibrary,
): Promise<Token> {
  if (credentials === "") return byLibrary(askLibrary, undefined);
  const key = await readKey(credentials);
  if (byLibraryAlone.has(textOf(key.type))) return byLibrary(askLibrary, key);
  const address = textOf(key.token_uri) || tokenAddress;
  const form = tokenForm(key, address, nowMs);
  return fetchToken(server, () => ask(address, form), nowMs);
}

/** The types of credentials that are not exchanged here. */
const byLibraryAlone = new Set([
  "external_account",
  "external_account_authorized_user",
  "impersonated_service_account",
  "gdch_service_account",
]);

async function byLibrary(askLibrary: AskGoogleLibrary, key: JsonObject | undefined): Promise<Token> {
  try {
    return await askLibrary(key);
  } catch (error) {
    if (key === undefined) {
      throw refused(
        "no credential for vertex_ai: set vertex_credentials, VERTEXAI_CREDENTIALS or GOOGLE_APPLICATION_CREDENTIALS",
      );
    }
    if (isOutOfOrder(error)) throw tokenFailure(server.provider, "Google's token server cannot be reached", error);
    const reason = (error instanceof Error ? error.message : String(error)).slice(0, 200);
    throw refused(`Google refused the credential of vertex_ai: ${reason}`);
  }
}

/** No connection, no time left, or a status that says the server's fault. */
function isOutOfOrder(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const status = "status" in error ? Number(error.status) : 0;
  const code = "code" in error ? String(error.code) : "";
  return status >= 500 || status === 429 || /^E(?:CONN|TIMEDOUT|AI_AGAIN|NOTFOUND|PIPE|HOST)/.test(code);
}

/** The credential's JSON, which may lie in a file. */
async function readKey(credentials: string): Promise<JsonObject> {
  const text = credentials.startsWith("{") ? credentials : await readFile(credentials, "utf8").catch(() => "");
  const key = parseObject(text);
  if (key === undefined) throw refused("vertex_credentials is neither Google's JSON nor a file that holds it");
  return key;
}

function tokenForm(key: JsonObject, address: string, nowMs: number): URLSearchParams {
  switch (key.type) {
    case "service_account":
      return new URLSearchParams({
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion: assertion(key, address, nowMs),
      });
    case "authorized_user":
      return new URLSearchParams({
        grant_type: "refresh_token",
        client_id: textOf(key.client_id),
        client_secret: textOf(key.client_secret),
        refresh_token: textOf(key.refresh_token),
      });
    default:
      throw refused("vertex_credentials is of no type that Google knows");
  }
}

/** A JSON Web Token, signed with RS256: https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests */
function assertion(key: JsonObject, audience: string, nowMs: number): string {
  const issuedAt = Math.floor(nowMs / 1000);
  const header = { alg: "RS256", typ: "JWT", kid: textOf(key.private_key_id) };
  const email = textOf(key.client_email);
  const claims = { iss: email, scope, aud: audience, iat: issuedAt, exp: issuedAt + 3600 };
  const signed = `${base64Url(JSON.stringify(header))}.${base64Url(JSON.stringify(claims))}`;
  try {
    return `${signed}.${createSign("RSA-SHA256").update(signed).sign(textOf(key.private_key), "base64url")}`;
  } catch {
    throw refused("the private key of vertex_credentials cannot be read");
  }
}

function base64Url(text: string): string {
  return Buffer.from(text).toString("base64url");
}

function refused(message: string): Error {
  return refusedCredential(server.provider, message);
}
