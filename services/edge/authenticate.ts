import type { IncomingHttpHeaders } from "node:http";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { PrincipalCache } from "./principal-cache.ts";
import { readKeyHash, readQueryKeyHash } from "./request-key.ts";

/**
 * Who sends a request. `keyQuery` is the query string of a path that takes a key there. Answers at once where the key is
 * in memory; `beforeAsking` is called where it is not, and may throw. The wording is LiteLLM's where clients may match it.
 *
 * @throws KEY_INVALID, KEY_EXPIRED, KEY_BLOCKED, or UNAVAILABLE where nobody can tell.
 */
export function authenticate(
  headers: IncomingHttpHeaders,
  cache: PrincipalCache,
  now: number,
  keyQuery = "",
  beforeAsking?: () => void,
): Principal | Promise<Principal> {
  const keyHash = readKeyHash(headers) ?? (keyQuery === "" ? undefined : readQueryKeyHash(keyQuery));
  if (keyHash === undefined) {
    throw gatewayError(
      Reason.KEY_INVALID,
      "Authentication Error, No api key passed in. Send it as `Authorization: Bearer <key>` or in the header x-api-key.",
    );
  }
  return authenticateHash(keyHash, cache, now, beforeAsking);
}

/** Who a key or the session of a login is, by its hash. Throws as `authenticate` does. */
export function authenticateHash(
  hash: string,
  cache: PrincipalCache,
  now: number,
  beforeAsking?: () => void,
): Principal | Promise<Principal> {
  const principal = cache.get(hash, beforeAsking);
  if (principal instanceof Promise) return principal.then((resolved) => usable(resolved, now));
  return usable(principal, now);
}

/** Checked on every call and not kept: a key ends at its moment, also in memory. */
function usable(principal: Principal, now: number): Principal {
  if (principal.blocked) {
    throw gatewayError(
      Reason.KEY_BLOCKED,
      "Authentication Error, Key is blocked. Update via `/key/unblock` if you're admin.",
      { param: "key" },
    );
  }
  const { expiresAt } = principal;
  if (expiresAt !== undefined && timestampMs(expiresAt) <= now) {
    const expiry = new Date(timestampMs(expiresAt)).toISOString();
    throw gatewayError(
      Reason.KEY_EXPIRED,
      `Authentication Error - Expired Key. Key Expiry time ${expiry} and current time ${new Date(now).toISOString()}`,
      { param: "key" },
    );
  }
  return principal;
}
