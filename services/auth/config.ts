import { parseDuration } from "#chassis/duration.ts";
import { ConfigurationError, type Environment, flag, integer, text } from "#chassis/environment.ts";
import { errorText } from "#chassis/log.ts";
import { type KeyPolicy, noKeyPolicy } from "./key-policy.ts";
import type { LoginSettings } from "./login/settings.ts";
import { noTenancyRules, type TenancyRules } from "./tenancy-rules.ts";
import { noTokens, type TokenSettings } from "./tokens/settings.ts";

/** The settings of auth. */
export interface AuthConfig {
  /** Random bytes in a new key. */
  readonly keyBytes: number;
  /** The pause before changes are announced again that could not be announced. */
  readonly announceRetryMs: number;
  /** What the configuration file says about keys: `readKeyPolicy`. */
  readonly keyPolicy: KeyPolicy;
  /** What it says about everybody else: `readTenancyRules`. */
  readonly tenancyRules: TenancyRules;
  readonly rotation: RotationConfig;
  readonly audit: AuditConfig;
  /** How long the spend of what was deleted is kept, and how often it is looked at; milliseconds. */
  readonly forgetting: { readonly keepMs: number; readonly intervalMs: number };
  /** Which tokens of others are accepted: `readTokenSettings`. */
  readonly tokens: TokenSettings;
  /** Where people log in with a browser: `readLoginSettings`. Undefined: nowhere. */
  readonly login: LoginSettings | undefined;
}

/** What a configuration file says of auth, each part read by a function of its own. */
export type FileSettings = Partial<Pick<AuthConfig, "keyPolicy" | "tenancyRules" | "tokens" | "login">>;

/** How the audit is kept. */
export interface AuditConfig {
  /** The pause between two anchors. */
  readonly anchorMs: number;
  /** How long entries stay, as a duration; undefined for ever. */
  readonly retention: string | undefined;
}

/** When keys are replaced that asked for it, and how long the old ones work on. */
export interface RotationConfig {
  readonly enabled: boolean;
  /** The pause between two looks for keys that are due. */
  readonly intervalMs: number;
  /** How long the old key works on, as a duration; undefined where nobody has said. */
  readonly grace: string | undefined;
  /** How long a master key works on that was replaced, as a duration. */
  readonly masterGrace: string;
}

export function readEnv(env: Environment, file: FileSettings = {}): AuthConfig {
  return {
    keyBytes: integer(env, "LENGTH_OF_LITELLM_GENERATED_KEY", 16, 16, 64),
    announceRetryMs: 1000,
    keyPolicy: file.keyPolicy ?? noKeyPolicy,
    tenancyRules: file.tenancyRules ?? noTenancyRules,
    forgetting: { keepMs: 30 * 86_400_000, intervalMs: 3_600_000 },
    tokens: file.tokens ?? noTokens,
    login: file.login,
    rotation: {
      enabled: flag(env, "LITELLM_KEY_ROTATION_ENABLED", true),
      intervalMs: integer(env, "LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS", 60, 1, 604_800) * 1000,
      grace: duration(env, "LITELLM_KEY_ROTATION_GRACE_PERIOD"),
      masterGrace: duration(env, "SLUICE_MASTER_KEY_GRACE_PERIOD") ?? "24h",
    },
    audit: { anchorMs: 60_000, retention: duration(env, "SLUICE_AUDIT_RETENTION") },
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
