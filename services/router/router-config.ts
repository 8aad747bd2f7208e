import type { JsonObject } from "@bufbuild/protobuf";
import type { Secret } from "#chassis/secret.ts";
import type { PriceOverrides } from "./prices/overrides.ts";
import type { ProviderRow } from "./provider-table.ts";

/** One entry of `model_list`, validated. Times are milliseconds. */
export interface DeploymentConfig {
  /** The public name or pattern. */
  readonly modelName: string;
  /** `model_info.id`; without one the id is a hash of what is not secret here. */
  readonly id: string | undefined;
  /** The model's name at the provider; may hold `*` where `modelName` does. */
  readonly model: string;
  /** Undefined where `model` begins with `*`: the name that the client writes brings its provider along. */
  readonly provider: string | undefined;
  readonly credential: Secret | undefined;
  /** The environment variable that `api_key` refers to and that is not set. */
  readonly missingVariable: string | undefined;
  /** Empty means the provider's own. */
  readonly baseUrl: string;
  /** What is set of the provider's settings; the environment fills the rest. */
  readonly settings: Readonly<Record<string, string>>;
  readonly weight: number | undefined;
  readonly rpm: number | undefined;
  readonly tpm: number | undefined;
  readonly order: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly streamTimeoutMs: number | undefined;
  /** `num_retries`, else `max_retries`. */
  readonly numRetries: number | undefined;
  readonly cooldownMs: number | undefined;
  readonly dropParams: boolean | undefined;
  readonly allowedOpenaiParams: readonly string[];
  readonly mockResponse: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Parameters that the gateway does not know: defaults for the upstream body. */
  readonly defaultParams: JsonObject;
  readonly prices: PriceOverrides;
  /** `model_info.base_model`: the name whose price holds. */
  readonly baseModel: string | undefined;
  readonly maxOutputTokens: number | undefined;
  /** The named credential that fills what the entry itself does not say. */
  readonly credentialName: string | undefined;
  readonly about: DeploymentFacts;
  /** Where it is kept in the database, what is known of its row. */
  readonly stored?: StoredMark;
}

/** What is said of a deployment beside how to call it. */
export interface DeploymentFacts {
  /** `litellm_params` as they may be shown: credentials masked. */
  readonly params: JsonObject;
  /** `model_info` likewise. */
  readonly info: JsonObject;
  /** The team that alone may use it. */
  readonly teamId: string | undefined;
  /** Names that stand for its name in the model lists of keys, teams and users. */
  readonly accessGroups: readonly string[];
  /** Calls pass it by. */
  readonly blocked: boolean;
  /** `chat`, `embedding` and so on. */
  readonly mode: string;
  readonly probe: ProbeSettings;
}

/** How to ask whether a deployment answers. */
export interface ProbeSettings {
  /** The model to ask in place of a pattern. */
  readonly model: string | undefined;
  readonly timeoutMs: number;
  readonly maxTokens: number;
  /** Whether background checks ask it too. */
  readonly inBackground: boolean;
}

/** Who made and changed a row, and when. */
export interface StoredMark {
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly updatedAt: Date;
  readonly updatedBy: string;
  readonly version: number;
}

/** A named set of parameters. */
export interface NamedCredential {
  readonly name: string;
  readonly info: JsonObject;
  /** Parameters by their name in `litellm_params`; every text is a secret. */
  readonly values: ReadonlyMap<string, Secret>;
  /** The environment variable that `api_key` refers to and that is not set. */
  readonly missingVariable: string | undefined;
}

/** `general_settings` about checks of deployments. */
export interface HealthSettings {
  readonly background: boolean;
  readonly intervalMs: number;
  /** Whether answers show a deployment's parameters. */
  readonly details: boolean;
  /** How many deployments are asked at a time. */
  readonly concurrency: number;
}

export interface ModelAlias {
  readonly model: string;
  /** Left out of the list of models. */
  readonly hidden: boolean;
}

/** Model group (or pattern) to the groups that take over. */
export type FallbackTable = ReadonlyMap<string, readonly string[]>;

export interface RouterSettings {
  readonly numRetries: number;
  /** Absent where the configuration does not say it: the environment may. */
  readonly timeoutMs: number | undefined;
  readonly streamTimeoutMs: number | undefined;
  /** The least time between two tries. */
  readonly retryAfterMs: number;
  /** Set: that many failures within the cooldown time cool a deployment down. Unset: the default rules do. */
  readonly allowedFails: number | undefined;
  readonly cooldownMs: number;
  readonly disableCooldowns: boolean;
  readonly fallbacks: FallbackTable;
  readonly contextWindowFallbacks: FallbackTable;
  readonly contentPolicyFallbacks: FallbackTable;
  readonly defaultFallbacks: readonly string[];
  readonly maxFallbacks: number;
  readonly dropParams: boolean;
}

/** What the file says about routing. */
export interface RouterConfig {
  /** Those of the catalog and those that the file adds. */
  readonly providers: readonly ProviderRow[];
  readonly deployments: readonly DeploymentConfig[];
  /** `credential_list`. */
  readonly credentials: readonly NamedCredential[];
  readonly aliases: ReadonlyMap<string, ModelAlias>;
  readonly settings: RouterSettings;
  readonly health: HealthSettings;
}
