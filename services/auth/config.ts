import { type Environment, integer } from "#chassis/environment.ts";

/** The settings of auth. */
export interface AuthConfig {
  /** Random bytes in a new key. */
  readonly keyBytes: number;
  /** The pause before changes are announced again that could not be announced. */
  readonly announceRetryMs: number;
}

export function readEnv(env: Environment): AuthConfig {
  return {
    keyBytes: integer(env, "LENGTH_OF_LITELLM_GENERATED_KEY", 16, 16, 64),
    announceRetryMs: 1000,
  };
}
