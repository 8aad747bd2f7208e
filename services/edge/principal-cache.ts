import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { FreshCache } from "./fresh-cache.ts";
import { KeyQuestions, type KeyQuestionsOptions } from "./key-questions.ts";

export interface PrincipalCacheOptions extends KeyQuestionsOptions {
  /** Bounds the known and the unknown keys, each. */
  readonly entries: number;
  readonly freshMs: number;
  readonly staleMs: number;
  /** Told whenever auth does not answer. */
  readonly unanswered: (error: unknown) => void;
}

/** Who a key is, from memory. */
export class PrincipalCache {
  /** Undefined is a key that nobody knows. */
  readonly #cache: FreshCache<Principal | undefined>;

  constructor(options: PrincipalCacheOptions) {
    const questions = new KeyQuestions(options);
    this.#cache = new FreshCache({
      ...options,
      load: (keyHash, nobodyWaits) => load(options, questions.ask(keyHash, nobodyWaits)),
      isAbsent: (principal) => principal === undefined,
    });
  }

  /**
   * `beforeAsking` is called where the key is not in memory; it may throw.
   *
   * @throws KEY_INVALID where no such key exists, UNAVAILABLE where nobody says who it is; never the former for the
   * latter.
   */
  get(keyHash: string, beforeAsking?: () => void): Principal | Promise<Principal> {
    const principal = this.#cache.get(keyHash, beforeAsking);
    return principal instanceof Promise ? principal.then(known) : known(principal);
  }

  /** Forgets keys that have changed, and those that count against a scope that has. */
  drop(keyHashes: readonly string[], scopes: readonly string[] = []): void {
    for (const keyHash of keyHashes) this.#cache.drop(keyHash);
    if (scopes.length === 0) return;
    const changed = new Set(scopes);
    this.#cache.dropWhere((principal) => principal?.scopes.some(({ scope }) => changed.has(scope)) === true);
  }
}

function known(principal: Principal | undefined): Principal {
  if (principal !== undefined) return principal;
  throw gatewayError(
    Reason.KEY_INVALID,
    "Authentication Error, Invalid proxy server token passed: no such key. Check the key, or make one with POST /key/generate.",
    { param: "key" },
  );
}

async function load(
  { unanswered }: PrincipalCacheOptions,
  asked: Promise<Principal | undefined>,
): Promise<Principal | undefined> {
  try {
    return await asked;
  } catch (error) {
    unanswered(error);
    throw gatewayError(Reason.UNAVAILABLE, "Keys cannot be checked at the moment. Try again in a second.", {
      retryAfterMs: 1000,
      cause: error,
    });
  }
}
