import { createDecipheriv, createHash, hkdfSync } from "node:crypto";
import { secretbox } from "@noble/ciphers/salsa.js";
import type { Secret } from "#chassis/secret.ts";

/** What a stored text is: no sealed value at all, one that opened, or one that no key opens. */
export type Unsealed = { readonly state: "plain" | "opened"; readonly value: string } | { readonly state: "closed" };

const gcmNonce = 12;
const gcmTag = 16;
const boxNonce = 24;
const boxTag = 16;

/**
 * Opens what LiteLLM has sealed under its salt key, else its master key. Its ciphers: NaCl's secretbox under the SHA-256
 * of the key, in URL-safe Base64 (in ordinary Base64 in old rows); AES-256-GCM under the same, marked `v2:gcm:`; and the
 * same under HKDF-SHA256, marked `v3:gcm:`.
 *
 * @param keys What to try, in this order: a rotation of LiteLLM's master key seals anew under the new master key, also
 *   where there is a salt key.
 */
export function createUnsealer(keys: readonly Secret[]): (text: string) => Unsealed {
  const derived = keys.map((key) => ({
    plain: createHash("sha256").update(key.reveal()).digest(),
    stretched: Buffer.from(hkdfSync("sha256", key.reveal(), "", "litellm-at-rest-v3", 32)),
  }));
  return (text) => {
    const [, version, gcm] = /^v([23]):gcm:([A-Za-z0-9_-]*=*)$/.exec(text) ?? [];
    const bytes = gcm === undefined ? secretBoxBytes(text) : Buffer.from(gcm, "base64url");
    if (bytes === undefined) return { state: "plain", value: text };
    for (const { plain, stretched } of derived) {
      const value = gcm === undefined ? openBox(bytes, plain) : openGcm(bytes, version === "2" ? plain : stretched);
      if (value !== undefined) return { state: "opened", value };
    }
    return { state: "closed" };
  };
}

/** The bytes of a text that has the form of a sealed one. */
function secretBoxBytes(text: string): Buffer | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9_+/-]+={0,2}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64");
  return bytes.length >= boxNonce + boxTag ? bytes : undefined;
}

function openBox(bytes: Buffer, key: Uint8Array): string | undefined {
  try {
    return Buffer.from(secretbox(key, bytes.subarray(0, boxNonce)).open(bytes.subarray(boxNonce))).toString("utf8");
  } catch {
    return undefined;
  }
}

function openGcm(bytes: Buffer, key: Uint8Array): string | undefined {
  if (bytes.length < gcmNonce + gcmTag) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, gcmNonce), { authTagLength: gcmTag });
  decipher.setAuthTag(bytes.subarray(-gcmTag));
  try {
    const text = decipher.update(bytes.subarray(gcmNonce, -gcmTag));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    return undefined;
  }
}
