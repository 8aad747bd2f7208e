import { type Environment, flag, integer, list } from "#chassis/environment.ts";

/** Kinds of tokens that are accepted. What they stand for is auth's business. */
export interface TokenUse {
  /** JWTs of an identity provider. */
  readonly signed: boolean;
  /** Whatever is no virtual key: an OAuth 2.0 server says what it is. */
  readonly opaque: boolean;
}

export const noTokens: TokenUse = { signed: false, opaque: false };

/** What the edge can be told. Times are milliseconds. */
export interface EdgeConfig {
  /** Sluice's version, as clients see it in `x-litellm-version`. */
  readonly version: string;
  /** Which tokens of others are accepted beside keys: `readTokenUse`. */
  readonly tokens: TokenUse;
  /** The largest request body. */
  readonly maxBodyBytes: number;
  /** Origins that a browser may call from; `*` is any. */
  readonly corsOrigins: readonly string[];
  /** Whether browsers may send cookies along. Has no effect for the origin `*`. */
  readonly corsCredentials: boolean;
  /** How many keys are kept in memory. */
  readonly keyCacheEntries: number;
  /** How long a key is served from memory without a question. */
  readonly keyFreshMs: number;
  /** How long a key is served from memory while nobody answers the question. */
  readonly keyStaleMs: number;
  /** How long to wait for the auth service. */
  readonly authTimeoutMs: number;
  /** Calls with unknown keys that one address may make in a minute; 0 is no limit. */
  readonly failedAuthPerMinute: number;
  /** Whether the first address of `x-forwarded-for` is where a call comes from: true only behind a proxy that sets it. */
  readonly trustForwardedFor: boolean;
  /** How long an admin call may take. */
  readonly restTimeoutMs: number;
  /** How long a client may leave an answer unread before the connection is cut. */
  readonly stalledClientMs: number;
  /** How long `close` waits for calls in flight before it aborts them. */
  readonly drainMs: number;
}

/** Reads the edge's environment variables. LiteLLM's names where it has one. */
export function readEdgeConfig(env: Environment, version: string, tokens: TokenUse = noTokens): EdgeConfig {
  return {
    version,
    tokens,
    maxBodyBytes: integer(env, "SLUICE_MAX_BODY_BYTES", 50 * 1024 * 1024, 1024, 1024 * 1024 * 1024),
    corsOrigins: list(env, "LITELLM_CORS_ORIGINS") ?? ["*"],
    corsCredentials: flag(env, "LITELLM_CORS_ALLOW_CREDENTIALS", false),
    keyCacheEntries: integer(env, "SLUICE_KEY_CACHE_ENTRIES", 20_000, 1, 10_000_000),
    keyFreshMs: 10_000,
    keyStaleMs: 3_600_000,
    authTimeoutMs: integer(env, "SLUICE_AUTH_TIMEOUT_MS", 3_000, 10, 60_000),
    failedAuthPerMinute: integer(env, "SLUICE_FAILED_AUTH_PER_MINUTE", 300, 0, 1_000_000),
    trustForwardedFor: flag(env, "SLUICE_TRUST_FORWARDED_FOR", false),
    restTimeoutMs: 30_000,
    stalledClientMs: integer(env, "SLUICE_STALLED_CLIENT_MS", 120_000, 100, 3_600_000),
    drainMs: integer(env, "SLUICE_DRAIN_MS", 600_000, 0, 3_600_000),
  };
}
