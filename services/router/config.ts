import { ConfigurationError, type Environment, flag, integer, text } from "#chassis/environment.ts";
import { Secret } from "#chassis/secret.ts";
import {
  joinSecrets,
  type ProviderRow,
  type ProviderSetting,
  providerBaseUrl,
  providerTable,
} from "./provider-table.ts";

/** What the environment says about one provider. */
export interface ProviderEnvironment {
  readonly credential: Secret | undefined;
  /** Empty means the provider's own address. */
  readonly baseUrl: string;
  /** What is set of the row's `settings`. */
  readonly settings: Readonly<Record<string, string>>;
}

/** A longer delay than Node's timers keep would be none. */
const maxTimeoutSeconds = 2_000_000;

/** What the router reads of its environment. */
export interface RouterEnvironment {
  /** One entry per provider of the table. */
  readonly providers: ReadonlyMap<string, ProviderEnvironment>;
  /** Output tokens assumed of a call without a limit, at a model whose maximum is not known. */
  readonly defaultOutputTokens: number;
  /** Upper bound of what is assumed, also where the model could write more. A client's own limit is never lowered. */
  readonly maxAssumedOutputTokens: number;
  /** `LITELLM_DROP_PARAMS`. */
  readonly dropParams: boolean;
  /** `REQUEST_TIMEOUT`: how long a call may take where the configuration does not say it, in milliseconds. */
  readonly requestTimeoutMs: number;
}

/** `providers`: those of the catalog and of the configuration. */
export function readRouterEnv(env: Environment, providers: readonly ProviderRow[] = providerTable): RouterEnvironment {
  return {
    providers: new Map(providers.map((row) => [row.id, readProvider(row, env)])),
    defaultOutputTokens: integer(env, "SLUICE_DEFAULT_OUTPUT_TOKENS", 4096, 1, 10_000_000),
    maxAssumedOutputTokens: integer(env, "SLUICE_MAX_ASSUMED_OUTPUT_TOKENS", 16_384, 1, 10_000_000),
    dropParams: flag(env, "LITELLM_DROP_PARAMS", false),
    requestTimeoutMs: readSeconds(env, "REQUEST_TIMEOUT", 6000) * 1000,
  };
}

/** LiteLLM takes fractions of a second too. */
function readSeconds(env: Environment, name: string, fallback: number): number {
  const seconds = Number(text(env, name) ?? fallback);
  if (seconds > 0 && seconds <= maxTimeoutSeconds) return seconds;
  throw new ConfigurationError(`${name} must be a number of seconds, more than 0 and at most ${maxTimeoutSeconds}`);
}

function readProvider(row: ProviderRow, env: Environment): ProviderEnvironment {
  const key = text(env, ...row.keyVariables);
  const secrets = readSettings(row.secrets ?? [], env).map(([name, value]) => [name, new Secret(value)] as const);
  return {
    credential: joinSecrets(key === undefined ? undefined : new Secret(key), new Map(secrets)),
    baseUrl: readBaseUrl(row, env),
    settings: Object.fromEntries(readSettings(row.settings ?? [], env)),
  };
}

function readSettings(settings: readonly ProviderSetting[], env: Environment): [string, string][] {
  return settings.flatMap(({ name, variables }) => {
    const value = text(env, ...variables);
    return value === undefined ? [] : [[name, value]];
  });
}

function readBaseUrl(row: ProviderRow, env: Environment): string {
  const name = row.baseUrlVariables.find((variable) => text(env, variable) !== undefined);
  const address = name === undefined ? undefined : text(env, name);
  if (address === undefined) return "";
  if (!/^(?:http|grpc)s?:$/.test(URL.parse(address)?.protocol ?? "")) {
    throw new ConfigurationError(`${name} must be an http:// or https:// address`);
  }
  return providerBaseUrl(row, address);
}
