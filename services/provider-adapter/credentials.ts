import { gatewayError } from "#chassis/errors.ts";
import type { Sealer } from "#chassis/sealing.ts";
import type { Secret } from "#chassis/secret.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

const maxOpened = 1000;

/**
 * Opens sealed credentials, each once: a call finds its own in memory, by the sealed bytes. At most 1,000 are kept, the
 * ones opened longest ago go first.
 */
export function createCredentialOpener(sealer: Sealer): (sealed: Uint8Array) => Secret | undefined {
  const opened = new Map<string, Secret>();
  return (sealed) => {
    if (sealed.length === 0) return undefined;
    const key = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength).toString("latin1");
    const known = opened.get(key);
    if (known !== undefined) return known;
    const secret = open(sealer, sealed);
    const [oldest] = opened.keys();
    if (opened.size >= maxOpened && oldest !== undefined) opened.delete(oldest);
    opened.set(key, secret);
    return secret;
  };
}

function open(sealer: Sealer, sealed: Uint8Array): Secret {
  try {
    return sealer.open(sealed);
  } catch (error) {
    throw gatewayError(Reason.UNAVAILABLE, "the provider's credential cannot be opened here", { cause: error });
  }
}
