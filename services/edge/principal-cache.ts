import { type Client, ConnectError } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

export interface PrincipalCacheOptions {
  readonly auth: Client<typeof AuthService>;
  /** Bounds the known and the unknown keys, each. */
  readonly entries: number;
  readonly freshMs: number;
  readonly staleMs: number;
  readonly timeoutMs: number;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
  /** Told whenever auth does not answer. */
  readonly unanswered: (error: unknown) => void;
}

interface Entry {
  readonly principal: Principal;
  readonly fetchedAt: number;
}

/** After auth has failed to answer, callers with an old principal do not wait for it again for this long. */
const outageMs = 5_000;

/**
 * Who a key is, from memory. A key in use is asked for again, in the background, after half of its fresh time, so that no
 * call waits. A key that was not in use for its fresh time is asked for before it is served: that bounds how long a
 * change can go unnoticed whose event was lost. Only while auth does not answer is an old principal served.
 */
export class PrincipalCache {
  readonly #options: PrincipalCacheOptions;
  readonly #known = new Map<string, Entry>();
  readonly #unknown = new Map<string, number>();
  readonly #asked = new Map<string, Promise<Principal>>();
  #unansweredAt = Number.NEGATIVE_INFINITY;

  constructor(options: PrincipalCacheOptions) {
    this.#options = options;
  }

  /**
   * @throws KEY_INVALID where no such key exists, UNAVAILABLE where nobody says who it is; never the former for the
   * latter.
   */
  get(keyHash: string): Principal | Promise<Principal> {
    const { freshMs, staleMs } = this.#options;
    const now = this.#options.now();
    const entry = this.#known.get(keyHash);
    if (entry === undefined) {
      const refusedAt = this.#unknown.get(keyHash);
      if (refusedAt !== undefined && now - refusedAt < freshMs) throw unknownKey();
      return this.#ask(keyHash);
    }
    const age = now - entry.fetchedAt;
    if (age < freshMs) {
      if (age >= freshMs / 2) this.#askInBackground(keyHash);
      return entry.principal;
    }
    if (age >= staleMs) return this.#ask(keyHash);
    if (now - this.#unansweredAt < outageMs) {
      this.#askInBackground(keyHash);
      return entry.principal;
    }
    return this.#ask(keyHash).catch((error: unknown) => {
      if (isUnavailable(error)) return entry.principal;
      throw error;
    });
  }

  /**
   * Forgets keys that have changed, or that count against a scope that has. An answer under way is not kept either: it
   * may be older than the change.
   */
  drop(keyHashes: readonly string[], scopes: readonly string[] = []): void {
    for (const keyHash of keyHashes) this.#forget(keyHash);
    if (scopes.length === 0) return;
    const changed = new Set(scopes);
    for (const [keyHash, { principal }] of this.#known) {
      if (principal.scopes.some(({ scope }) => changed.has(scope))) this.#forget(keyHash);
    }
    // Nobody knows yet whom the questions under way are about.
    this.#asked.clear();
  }

  #forget(keyHash: string): void {
    this.#known.delete(keyHash);
    this.#unknown.delete(keyHash);
    this.#asked.delete(keyHash);
  }

  #askInBackground(keyHash: string): void {
    if (!this.#asked.has(keyHash)) this.#ask(keyHash).catch(() => {});
  }

  /** Asks auth; callers that ask for the same key at the same time share one question. */
  #ask(keyHash: string): Promise<Principal> {
    const running = this.#asked.get(keyHash);
    if (running !== undefined) return running;
    const asked = this.#fetch(keyHash).then(
      (principal) => {
        if (this.#settle(keyHash, asked)) this.#remember(keyHash, principal);
        return principal;
      },
      (error: unknown) => {
        if (this.#settle(keyHash, asked) && !isUnavailable(error)) this.#rememberUnknown(keyHash);
        throw error;
      },
    );
    this.#asked.set(keyHash, asked);
    return asked;
  }

  /** Whether the answer may be kept: false where the key has changed since the question. */
  #settle(keyHash: string, asked: Promise<Principal>): boolean {
    return this.#asked.get(keyHash) === asked && this.#asked.delete(keyHash);
  }

  async #fetch(keyHash: string): Promise<Principal> {
    let failure: unknown = "auth answered without a principal";
    try {
      const { principal } = await this.#options.auth.authenticate({ keyHash }, { timeoutMs: this.#options.timeoutMs });
      if (principal !== undefined) return principal;
    } catch (error) {
      if (findGatewayError(ConnectError.from(error))?.reason === Reason.KEY_INVALID) throw unknownKey();
      failure = error;
    }
    this.#unansweredAt = this.#options.now();
    this.#options.unanswered(failure);
    throw gatewayError(Reason.UNAVAILABLE, "Keys cannot be checked at the moment. Try again in a second.", {
      retryAfterMs: 1000,
      cause: failure,
    });
  }

  #remember(keyHash: string, principal: Principal): void {
    this.#unknown.delete(keyHash);
    setBounded(this.#known, keyHash, { principal, fetchedAt: this.#options.now() }, this.#options.entries);
  }

  #rememberUnknown(keyHash: string): void {
    this.#known.delete(keyHash);
    setBounded(this.#unknown, keyHash, this.#options.now(), this.#options.entries);
  }
}

/** Sets the youngest entry and forgets the oldest beyond the bound. Keys in use are set again whenever asked for. */
function setBounded<V>(map: Map<string, V>, key: string, value: V, bound: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= bound) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}

function isUnavailable(error: unknown): boolean {
  return findGatewayError(ConnectError.from(error))?.reason === Reason.UNAVAILABLE;
}

function unknownKey(): ConnectError {
  return gatewayError(
    Reason.KEY_INVALID,
    "Authentication Error, Invalid proxy server token passed: no such key. Check the key, or make one with POST /key/generate.",
    { param: "key" },
  );
}
