import type { Keyring } from "#chassis/keyring.ts";
import { createSealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";

/** A keyring that is open and keeps the key that it is given, a text. */
export function testKeyring(key = "key-encryption-key"): Keyring {
  const sealer = createSealer(new Secret(key));
  return {
    isOpen: true,
    seal: sealer.seal,
    open: sealer.open,
    wrap(under) {
      const wrapping = createSealer(under);
      return { id: wrapping.keyId, wrapped: wrapping.seal(new Secret(key)) };
    },
    refresh: async () => {},
    onChange: () => {},
  };
}
