import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** Where clients put their key. The first one that is there wins. */
const keyHeaders = [
  "x-litellm-api-key",
  "authorization",
  "x-api-key",
  "api-key",
  "x-goog-api-key",
  "ocp-apim-subscription-key",
] as const;

const bearer = /^bearer(?:\s+|$)/i;

/** The key that a request presents. Undefined without one. A secret: its hash is what goes further. */
export function readKey(headers: IncomingHttpHeaders): string | undefined {
  for (const name of keyHeaders) {
    const value = headers[name];
    if (typeof value !== "string") continue;
    const key = withoutScheme(value).trim();
    if (key !== "") return key;
  }
  return undefined;
}

function withoutScheme(value: string): string {
  return value.startsWith("Bearer ") ? value.slice(7) : value.replace(bearer, "");
}

/** The key in a query string, where Google's clients may put it: `?key=`. Undefined without one. */
export function readQueryKey(query: string): string | undefined {
  return new URLSearchParams(query).get("key")?.trim() || undefined;
}

/** The SHA-256 of a key, lowercase hex. */
export function hashKey(key: string): string {
  return hash("sha256", key, "hex");
}
