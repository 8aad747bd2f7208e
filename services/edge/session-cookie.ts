import type { IncomingMessage } from "node:http";
import { hashSessionToken } from "#chassis/session-token.ts";

/** The cookies of a login: the session, and what the browser keeps while it is at the identity provider. */
export type LoginCookie = "sluice_session" | "sluice_login";

const maxValueLength = 8_000;

/**
 * The hash of the session that a browser shows, undefined where there is none. A cookie comes along whoever makes a
 * browser send a request, so that it counts only where the gateway's own page does, or the person at the address bar:
 * https://www.w3.org/TR/fetch-metadata/. A browser that does not say so may read, from the gateway's own origin.
 */
export function readSessionHash(request: IncomingMessage): string | undefined {
  const token = readCookie(request, "sluice_session");
  return token === undefined || !isFromHere(request) ? undefined : hashSessionToken(token);
}

function isFromHere({ headers, method }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin" || site === "none";
  const { origin, host } = headers;
  if ((method !== "GET" && method !== "HEAD") || origin === undefined || host === undefined) return false;
  return URL.parse(origin)?.host === host;
}

/** A cookie's value, whichever of its names it has. Undefined where it is not there, or empty. */
export function readCookie({ headers }: IncomingMessage, name: LoginCookie): string | undefined {
  const given = headers.cookie;
  if (given === undefined || !given.includes(name)) return undefined;
  const cookies = given.split(";").map((each) => each.trim().split(/=(.*)/s, 2));
  for (const wanted of [`__Host-${name}`, name]) {
    const value = cookies.find(([each]) => each === wanted)?.[1];
    if (value) return value.length <= maxValueLength ? value : undefined;
  }
  return undefined;
}

/**
 * A `set-cookie` header, as name and value. Over HTTPS the name says so to the browser, which then takes it from nobody
 * else: https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-the-__host-prefix.
 */
export function cookieHeader(name: LoginCookie, value: string, maxAgeSeconds: number, secure: boolean): string[] {
  const prefix = secure ? "__Host-" : "";
  const end = secure ? "; Secure" : "";
  return ["set-cookie", `${prefix}${name}=${value}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax${end}`];
}

/** Removes a cookie, whichever of its names it has. */
export function withoutCookie(name: LoginCookie): string[] {
  return [...cookieHeader(name, "", 0, false), ...cookieHeader(name, "", 0, true)];
}
