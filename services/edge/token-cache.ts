import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import { isSignedToken, maxTokenLength } from "#chassis/token-form.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { TokenUse } from "./config.ts";
import { FreshCache } from "./fresh-cache.ts";
import type { PrincipalCacheOptions } from "./principal-cache.ts";
import { hashKey } from "./request-key.ts";

const maxTeamLength = 256;
/** A principal of a token is larger than a key's, and a token seldom lives for long. */
const maxTokens = 5_000;
/** Nobody but its server can say whether an opaque token still holds. */
const opaqueStaleMs = 60_000;

const refusals: ReadonlySet<Reason> = new Set([Reason.KEY_INVALID, Reason.KEY_EXPIRED, Reason.PERMISSION_DENIED]);

/** Who a token of somebody else is, from memory. The tokens themselves are not kept: they are known by their hash. */
export class TokenCache {
  readonly #options: PrincipalCacheOptions;
  readonly #use: TokenUse;
  /** An error is the refusal of a token that is no good. */
  readonly #signed: FreshCache<Principal | ConnectError>;
  readonly #opaque: FreshCache<Principal | ConnectError>;

  constructor(options: PrincipalCacheOptions, use: TokenUse) {
    this.#options = options;
    this.#use = use;
    const caching = {
      ...options,
      entries: Math.min(options.entries, maxTokens),
      isAbsent: (known: Principal | ConnectError) => known instanceof ConnectError,
      load: () => Promise.reject(new Error("a token is asked for by itself")),
    };
    this.#signed = new FreshCache(caching);
    this.#opaque = new FreshCache({ ...caching, staleMs: opaqueStaleMs });
  }

  /** Whether this, which is no virtual key, may be a token. */
  accepts(text: string): boolean {
    return this.#use.opaque || (this.#use.signed && isSignedToken(text));
  }

  /**
   * `team` is the team that the client asks for, as the header has it; `beforeAsking` is called where the token is not in
   * memory, and may throw.
   *
   * @throws KEY_INVALID, KEY_EXPIRED or PERMISSION_DENIED where the token is refused, UNAVAILABLE where nobody says who it
   *   is; never the former for the latter.
   */
  get(token: string, team: string | string[] | undefined, beforeAsking?: () => void): Principal | Promise<Principal> {
    if (token.length > maxTokenLength) throw refusal(`a token has at most ${maxTokenLength} characters`);
    const teamId = typeof team === "string" ? team.trim() : "";
    if (teamId.length > maxTeamLength) throw refusal("x-litellm-team-id is too long");
    const cache = this.#use.signed && isSignedToken(token) ? this.#signed : this.#opaque;
    // The hash is of the whole token: two that begin alike are two.
    const known = cache.get(`${hashKey(token)} ${teamId}`, beforeAsking, () => load(this.#options, token, teamId));
    return known instanceof Promise ? known.then(usable) : usable(known);
  }

  /** Forgets tokens that count against a scope that has changed. */
  drop(scopes: readonly string[]): void {
    if (scopes.length === 0) return;
    const changed = new Set(scopes);
    const concerns = (principal: Principal): boolean =>
      principal.scopes.some(({ scope }) => changed.has(scope)) || principal.alternatives.some(concerns);
    for (const cache of [this.#signed, this.#opaque]) {
      cache.dropWhere((known) => !(known instanceof ConnectError) && concerns(known));
    }
  }
}

function usable(known: Principal | ConnectError): Principal {
  if (known instanceof ConnectError) throw known;
  return known;
}

function refusal(why: string): ConnectError {
  return gatewayError(Reason.KEY_INVALID, `Authentication Error, Invalid token: ${why}.`, { param: "token" });
}

async function load(
  { auth, timeoutMs, unanswered }: PrincipalCacheOptions,
  token: string,
  teamId: string,
): Promise<Principal | ConnectError> {
  let failure: unknown = "auth answered without a principal";
  try {
    const { principal } = await auth.authenticateToken({ token, teamId }, { timeoutMs });
    if (principal !== undefined) return principal;
  } catch (error) {
    const refused = ConnectError.from(error);
    if (refusals.has(findGatewayError(refused)?.reason ?? Reason.UNSPECIFIED)) return refused;
    failure = error;
  }
  unanswered(failure);
  throw gatewayError(Reason.UNAVAILABLE, "Tokens cannot be checked at the moment. Try again in a second.", {
    retryAfterMs: 1000,
    cause: failure,
  });
}
