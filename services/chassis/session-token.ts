import { hash, randomBytes } from "node:crypto";

/** A new token of a session: 32 random bytes in URL-safe Base64. */
export function mintSessionToken(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * What a session is known by: lowercase hex, like the hash of a key, and never that of any key: a session's token is of no
 * use as a key, nor a key as a session.
 */
export function hashSessionToken(token: string): string {
  return hash("sha256", `sluice-session ${token}`, "hex");
}
