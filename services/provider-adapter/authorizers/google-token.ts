import { createHash, createSign } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { ConnectError } from "@connectrpc/connect";
import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { Authorizer } from "../authorize.ts";
import { readGoogleCredential } from "../google-credential.ts";
import type { JsonObject } from "../provider.ts";
import { numberOf, parseObject, textOf } from "../translate/json-reading.ts";

const scope = "https://www.googleapis.com/auth/cloud-platform";
const tokenAddress = "https://oauth2.googleapis.com/token";
/** How long before its end a token is replaced. */
const marginMs = 5 * 60 * 1000;
const maxTokens = 100;
const timeoutMs = 15_000;

interface Token {
  readonly value: string;
  /** In milliseconds since 1970. */
  readonly refreshAt: number;
}

/** Posts a form to a token server. */
export type AskTokenServer = (url: string, form: URLSearchParams) => Promise<{ status: number; body: string }>;

/**
 * Adds an access token of Google's to requests whose credential is a service account's key or a user's refresh token,
 * https://developers.google.com/identity/protocols/oauth2/service-account. Every other request passes as it is. A token is
 * kept until five minutes before its end, at most 100 of them, and fetched once for all calls that wait for it. `now` is
 * the time in milliseconds since 1970.
 */
export function createGoogleToken(now: () => number, ask: AskTokenServer = askTokenServer): Authorizer {
  const tokens = new Map<string, Token>();
  const waiting = new Map<string, Promise<Token>>();

  const fetchOnce = (id: string, credentials: string): Promise<Token> => {
    const asked = waiting.get(id);
    if (asked !== undefined) return asked;
    const promise = fetchToken(credentials, now(), ask)
      .then((token) => {
        const [oldest] = tokens.keys();
        if (tokens.size >= maxTokens && oldest !== undefined) tokens.delete(oldest);
        tokens.set(id, token);
        return token;
      })
      .finally(() => waiting.delete(id));
    waiting.set(id, promise);
    return promise;
  };

  return async (call, request, signal) => {
    const { credentials } = readGoogleCredential(call.credential);
    if (credentials === "") return request;
    signal.throwIfAborted();
    const id = createHash("sha256").update(credentials).digest("hex");
    const known = tokens.get(id);
    const fresh = known !== undefined && now() < known.refreshAt;
    const token = fresh ? known : await unlessAborted(fetchOnce(id, credentials), signal);
    return { ...request, headers: { ...request.headers, authorization: `Bearer ${token.value}` } };
  };
}

/** Others may wait for the same token: an aborted call leaves, and the token is fetched all the same. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}

async function fetchToken(credentials: string, nowMs: number, ask: AskTokenServer): Promise<Token> {
  const key = await readKey(credentials);
  const address = textOf(key.token_uri) || tokenAddress;
  const { status, body } = await ask(address, tokenForm(key, address, nowMs)).catch((cause: unknown) => {
    throw failure("Google's token server cannot be reached", UpstreamErrorKind.CONNECTION, 503, cause);
  });
  const answer = parseObject(body) ?? {};
  const value = textOf(answer.access_token);
  if (status === 200 && /^[\x21-\x7e]+$/.test(value)) {
    const lifetimeMs = (numberOf(answer.expires_in) || 3600) * 1000;
    return { value, refreshAt: nowMs + Math.max(lifetimeMs - marginMs, lifetimeMs / 2) };
  }
  if (status >= 500) throw failure(`Google's token server answered ${status}`, UpstreamErrorKind.UNAVAILABLE, 503);
  const reason = (textOf(answer.error_description) || textOf(answer.error)).slice(0, 200);
  throw refused(`Google refused the credential of vertex_ai${reason === "" ? "" : `: ${reason}`}`);
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

async function askTokenServer(url: string, form: URLSearchParams): Promise<{ status: number; body: string }> {
  const response = await fetch(url, {
    method: "POST",
    body: form,
    redirect: "error",
    signal: AbortSignal.timeout(timeoutMs),
  });
  return { status: response.status, body: (await response.text()).slice(0, 64 * 1024) };
}

function refused(message: string): ConnectError {
  return failure(message, UpstreamErrorKind.AUTHENTICATION, 401);
}

function failure(message: string, kind: UpstreamErrorKind, httpStatus: number, cause?: unknown): ConnectError {
  const retryable = kind !== UpstreamErrorKind.AUTHENTICATION;
  return upstreamError({ kind, httpStatus, provider: "vertex_ai", retryable, message, cause });
}
