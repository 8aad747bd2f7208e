import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { Secret } from "./secret.ts";

/** Seals secrets, for the way between services and for a table. */
export interface Sealer {
  /** Seals a secret under a new nonce each time. */
  seal(plain: Secret): Uint8Array;
  /** Opens what was sealed under the same key. Throws where the key is another one or the bytes were changed. */
  open(sealed: Uint8Array): Secret;
}

/** A sealer of one key. */
export interface KeyedSealer extends Sealer {
  /** Which key it is, without saying what it is: 16 hexadecimal digits, derived from the key. */
  readonly keyId: string;
}

/** Something that is stored sealed, for whoever looks whether it opens. */
export interface SealedValue {
  /** What it is of: one word for all of its kind. */
  readonly kind: string;
  /** Which one. */
  readonly name: string;
  readonly sealed: Uint8Array;
}

/** The layouts there are, by their first byte. The first one, which does not name its key, is opened and no longer made. */
const unnamed = 1;
const named = 2;
const keyIdLength = 8;
const nonceLength = 12;
const tagLength = 16;

/**
 * A sealer whose key is derived (HKDF-SHA256) from a secret. What it seals is AES-256-GCM in the form
 * `[2][key id 8][nonce 12][tag 16][ciphertext]`; it opens `[1][nonce 12][tag 16][ciphertext]` of the same key too.
 */
export function createSealer(secret: Secret): KeyedSealer {
  const key = derive(secret, "sluice-credential-v1", 32);
  const id = derive(secret, "sluice-key-id-v1", keyIdLength);
  const keyId = id.toString("hex");
  return {
    keyId,
    seal(plain) {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv("aes-256-gcm", key, nonce);
      const text = Buffer.concat([cipher.update(plain.reveal(), "utf8"), cipher.final()]);
      return Buffer.concat([Buffer.of(named), id, nonce, cipher.getAuthTag(), text]);
    },
    open(sealed) {
      const own = keyIdOf(sealed);
      if (own !== undefined && own !== keyId) throw unreadable();
      const from = own === undefined ? 1 : 1 + keyIdLength;
      if ((own === undefined && sealed[0] !== unnamed) || sealed.length < from + nonceLength + tagLength) {
        throw unreadable();
      }
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(from, from + nonceLength));
      decipher.setAuthTag(sealed.subarray(from + nonceLength, from + nonceLength + tagLength));
      try {
        const text = decipher.update(sealed.subarray(from + nonceLength + tagLength));
        return new Secret(Buffer.concat([text, decipher.final()]).toString("utf8"));
      } catch (error) {
        throw unreadable(error);
      }
    },
  };
}

/** The key that something is sealed under, as it says itself; undefined where it does not. */
export function keyIdOf(sealed: Uint8Array): string | undefined {
  if (sealed[0] !== named || sealed.length < 1 + keyIdLength) return undefined;
  return Buffer.from(sealed.subarray(1, 1 + keyIdLength)).toString("hex");
}

function derive(secret: Secret, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync("sha256", secret.reveal(), "", purpose, length));
}

function unreadable(cause?: unknown): Error {
  return new Error("what is sealed does not open: it was sealed under another key, or changed", { cause });
}
