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

/** The SHA-256 of the key that a request presents, lowercase hex. Undefined without a key. The key goes no further. */
export function readKeyHash(headers: IncomingHttpHeaders): string | undefined {
  for (const name of keyHeaders) {
    const value = headers[name];
    if (typeof value !== "string") continue;
    const key = value.replace(bearer, "").trim();
    if (key !== "") return hash("sha256", key, "hex");
  }
  return undefined;
}

/** The SHA-256 of the key in a query string, where Google's clients may put it: `?key=`. Undefined without one. */
export function readQueryKeyHash(query: string): string | undefined {
  const key = new URLSearchParams(query).get("key")?.trim() ?? "";
  return key === "" ? undefined : hash("sha256", key, "hex");
}
