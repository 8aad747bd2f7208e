import { createHash, createSign } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Authorizer } from "../authorize.ts";
import { readGoogleCredential } from "../google-credential.ts";
import type { JsonObject } from "../provider.ts";
import { parseObject, textOf } from "../translate/json-reading.ts";
import { createTokenCache, type Token } from "./token-cache.ts";
import { type AskTokenServer, askTokenServer, fetchToken, refusedCredential } from "./token-server.ts";

const scope = "https://www.googleapis.com/auth/cloud-platform";
const tokenAddress = "https://oauth2.googleapis.com/token";
const server = { provider: "vertex_ai", owner: "Google" };

/**
 * Adds an access token of Google's to requests whose credential is a service account's key or a user's refresh token,
 * https://developers.google.com/identity/protocols/oauth2/service-account. Every other request passes as it is. `now` is
 * the time in milliseconds since 1970.
 */
export function createGoogleToken(now: () => number, ask: AskTokenServer = askTokenServer): Authorizer {
  const tokens = createTokenCache(now);
  return async (call, request, signal) => {
    const { credentials } = readGoogleCredential(call.credential);
    if (credentials === "") return request;
    const id = createHash("sha256").update(credentials).digest("hex");
    const token = await tokens(id, () => exchange(credentials, now(), ask), signal);
    return { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } };
  };
}

async function exchange(credentials: string, nowMs: number, ask: AskTokenServer): Promise<Token> {
  const key = await readKey(credentials);
  const address = textOf(key.token_uri) || tokenAddress;
  const form = tokenForm(key, address, nowMs);
  return fetchToken(server, () => ask(address, form), nowMs);
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
      throw refused("vertex_credentials is neither a service account's key nor a user's refresh token");
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
