import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { Secret } from "./secret.ts";

/** Seals secrets for the way between services. */
export interface Sealer {
  /** Seals a secret: `[version 1][nonce 12][tag 16][ciphertext]`, AES-256-GCM, a new nonce each time. */
  seal(plain: Secret): Uint8Array;
  /** Opens what a sealer of the same key sealed. Throws where the key is another one or the bytes were changed. */
  open(sealed: Uint8Array): Secret;
}

const version = 1;
const nonceLength = 12;
const tagLength = 16;

/**
 * A sealer whose key is derived (HKDF-SHA256) from a secret that all processes of the mesh are given: the salt key, else
 * the master key.
 */
export function createSealer(secret: Secret): Sealer {
  const key = Buffer.from(hkdfSync("sha256", secret.reveal(), "", "sluice-credential-v1", 32));
  return {
    seal(plain) {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv("aes-256-gcm", key, nonce);
      const text = Buffer.concat([cipher.update(plain.reveal(), "utf8"), cipher.final()]);
      return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), text]);
    },
    open(sealed) {
      if (sealed[0] !== version || sealed.length < 1 + nonceLength + tagLength) throw unreadable();
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(1, 1 + nonceLength));
      decipher.setAuthTag(sealed.subarray(1 + nonceLength, 1 + nonceLength + tagLength));
      try {
        const text = decipher.update(sealed.subarray(1 + nonceLength + tagLength));
        return new Secret(Buffer.concat([text, decipher.final()]).toString("utf8"));
      } catch (error) {
        throw unreadable(error);
      }
    },
  };
}

function unreadable(cause?: unknown): Error {
  return new Error("a sealed credential does not open: the services were given different salt or master keys", {
    cause,
  });
}
