/** An access token and how long it holds. */
export interface Token {
  readonly value: string;
  readonly lifetimeMs: number;
}

/**
 * The token of an id: a kept one, else what `fetchToken` gives. Rejects with the signal's reason where the call is
 * aborted; others may wait for the same token, so it is fetched all the same.
 */
export type TokenCache = (id: string, fetchToken: () => Promise<Token>, signal: AbortSignal) => Promise<string>;

/** How long before its end a token is replaced. */
const marginMs = 5 * 60 * 1000;
const maxTokens = 100;

interface KeptToken {
  readonly value: string;
  /** In milliseconds since 1970. */
  readonly refreshAt: number;
}

/**
 * Keeps tokens until five minutes before their end, or for half of their life where that is longer; at most 100, the
 * oldest go first. A token is fetched once for all calls that wait for it. `now` is the time in milliseconds since 1970.
 */
export function createTokenCache(now: () => number): TokenCache {
  const tokens = new Map<string, KeptToken>();
  const waiting = new Map<string, Promise<KeptToken>>();

  const fetchOnce = (id: string, fetchToken: () => Promise<Token>): Promise<KeptToken> => {
    const asked = waiting.get(id);
    if (asked !== undefined) return asked;
    const promise = fetchToken()
      .then(({ value, lifetimeMs }) => {
        const token = { value, refreshAt: now() + Math.max(lifetimeMs - marginMs, lifetimeMs / 2) };
        tokens.delete(id);
        const [oldest] = tokens.keys();
        if (tokens.size >= maxTokens && oldest !== undefined) tokens.delete(oldest);
        tokens.set(id, token);
        return token;
      })
      .finally(() => waiting.delete(id));
    waiting.set(id, promise);
    return promise;
  };

  return async (id, fetchToken, signal) => {
    signal.throwIfAborted();
    const known = tokens.get(id);
    const fresh = known !== undefined && now() < known.refreshAt;
    const token = fresh ? known : await unlessAborted(fetchOnce(id, fetchToken), signal);
    return token.value;
  };
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
