import type { IncomingHttpHeaders } from "node:http";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { PrincipalCache } from "./principal-cache.ts";
import { hashKey, readKey, readQueryKey } from "./request-key.ts";
import type { TokenCache } from "./token-cache.ts";

/** What a request may authenticate with, and where that is known from. */
export interface Credentials {
  readonly keys: PrincipalCache;
  readonly tokens: TokenCache;
}

/**
 * Who sends a request. `keyQuery` is the query string of a path that takes a key there. Answers at once where the key is
 * in memory; `beforeAsking` is called where it is not, and may throw. The wording is LiteLLM's where clients may match it.
 *
 * @throws KEY_INVALID, KEY_EXPIRED, KEY_BLOCKED, or UNAVAILABLE where nobody can tell.
 */
export function authenticate(
  headers: IncomingHttpHeaders,
  { keys, tokens }: Credentials,
  now: number,
  keyQuery = "",
  beforeAsking?: () => void,
): Principal | Promise<Principal> {
  const key = readKey(headers) ?? (keyQuery === "" ? undefined : readQueryKey(keyQuery));
  if (key === undefined) {
    throw gatewayError(
      Reason.KEY_INVALID,
      "Authentication Error, No api key passed in. Send it as `Authorization: Bearer <key>` or in the header x-api-key.",
    );
  }
  const isToken = !key.startsWith("sk-") && tokens.accepts(key);
  if (!isToken) return authenticateHash(hashKey(key), keys, now, beforeAsking);
  return whenUsable(tokens.get(key, headers["x-litellm-team-id"], beforeAsking), now);
}

/** Who a key or the session of a login is, by its hash. Throws as `authenticate` does. */
export function authenticateHash(
  hash: string,
  keys: PrincipalCache,
  now: number,
  beforeAsking?: () => void,
): Principal | Promise<Principal> {
  return whenUsable(keys.get(hash, beforeAsking), now);
}

function whenUsable(principal: Principal | Promise<Principal>, now: number): Principal | Promise<Principal> {
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
