import { hash, randomBytes } from "node:crypto";

/** What a caller-chosen key must look like: it travels in a header, and short keys can be guessed. */
export const keyForm = /^sk-[\x21-\x7e]{13,509}$/;

const hashForm = /^[0-9a-f]{64}$/;

/** A new random key in LiteLLM's form: `sk-` and URL-safe Base64, 22 characters of it for 16 bytes. */
export function mintKey(bytes: number): string {
  return `sk-${randomBytes(bytes).toString("base64url")}`;
}

/** The id under which a key is stored: its SHA-256, lowercase hex. */
export function hashKey(key: string): string {
  return hash("sha256", key, "hex");
}

export function isKeyHash(text: string): boolean {
  return hashForm.test(text);
}

/** The id of a key that was given either as itself or as its hash. */
export function keyIdOf(keyOrHash: string): string {
  return isKeyHash(keyOrHash) ? keyOrHash : hashKey(keyOrHash);
}

/** What may be shown of a key. */
export function nameOf(key: string): string {
  return `sk-...${key.slice(-4)}`;
}
