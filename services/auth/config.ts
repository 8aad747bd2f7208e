import { parseDuration } from "#chassis/duration.ts";
import { ConfigurationError, type Environment, flag, integer, text } from "#chassis/environment.ts";
import { errorText } from "#chassis/log.ts";
import { type KeyPolicy, noKeyPolicy } from "./key-policy.ts";
import type { LoginSettings } from "./login/settings.ts";

/** The settings of auth. */
export interface AuthConfig {
  /** Random bytes in a new key. */
  readonly keyBytes: number;
  /** The pause before changes are announced again that could not be announced. */
  readonly announceRetryMs: number;
  /** What the configuration file says about keys: `readKeyPolicy`. */
  readonly keyPolicy: KeyPolicy;
  readonly rotation: RotationConfig;
  /** Where people log in with a browser: `readLoginSettings`. Undefined: nowhere. */
  readonly login?: LoginSettings | undefined;
}

/** When keys are replaced that asked for it, and how long the old ones work on. */
export interface RotationConfig {
  readonly enabled: boolean;
  /** The pause between two looks for keys that are due. */
  readonly intervalMs: number;
  /** How long the old key works on, as a duration; undefined where nobody has said. */
  readonly grace: string | undefined;
}

export function readEnv(env: Environment, keyPolicy: KeyPolicy = noKeyPolicy): AuthConfig {
  return {
    keyBytes: integer(env, "LENGTH_OF_LITELLM_GENERATED_KEY", 16, 16, 64),
    announceRetryMs: 1000,
    keyPolicy,
    rotation: {
      enabled: flag(env, "LITELLM_KEY_ROTATION_ENABLED", true),
      intervalMs: integer(env, "LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS", 60, 1, 604_800) * 1000,
      grace: duration(env, "LITELLM_KEY_ROTATION_GRACE_PERIOD"),
    },
  };
}

function duration(env: Environment, name: string): string | undefined {
  const value = text(env, name);
  try {
    if (value !== undefined) parseDuration(value);
    return value;
  } catch (error) {
    throw new ConfigurationError(`${name}: ${errorText(error)}`);
  }
}
