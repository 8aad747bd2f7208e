import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { Sealer } from "#chassis/sealing.ts";
import { type Target, TargetSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { RouterEnvironment } from "../config.ts";
import { withOverrides } from "../prices/overrides.ts";
import { freePrice } from "../prices/price.ts";
import type { PriceBook, PriceSource } from "../prices/price-book.ts";
import { type ProviderNames, type ProviderRow, priceOf } from "../provider-table.ts";
import type { DeploymentConfig, DeploymentFacts, RouterSettings } from "../router-config.ts";
import { createHealth, type DeploymentHealth } from "../routing/cooldowns.ts";
import { createOutputLimits } from "./output-limits.ts";

/** One place a call can be sent to. Immutable but for its health. */
export interface Deployment {
  /** `model_info.id`, or a hash of its parameters without the credentials: stable over restarts. */
  readonly id: string;
  readonly provider: string;
  /** What the adapter needs; shared by calls, so copied before anything is added. */
  readonly target: Target;
  /** Its calls cannot be made: it needs a key, and this variable, which should hold it, is not set. */
  readonly missingVariable: string | undefined;
  readonly weight: number | undefined;
  readonly rpm: number | undefined;
  readonly tpm: number | undefined;
  readonly order: number;
  readonly timeoutMs: number;
  readonly streamTimeoutMs: number | undefined;
  readonly numRetries: number;
  readonly cooldownMs: number | undefined;
  /** Output tokens assumed of a call that sets no limit. */
  readonly assumedOutputTokens: number;
  readonly price: PriceSource;
  readonly health: DeploymentHealth;
}

export interface DeploymentParts {
  readonly env: RouterEnvironment;
  readonly settings: RouterSettings;
  readonly sealer: Sealer;
  readonly prices: PriceBook;
  readonly names: ProviderNames;
}

/** Makes deployments. A credential is sealed once per deployment, or once per provider where it is the environment's. */
export interface DeploymentFactory {
  /** A deployment of the file, for the model that it names or, of a pattern, for the one that was asked for. */
  configured(config: DeploymentConfig, id: string, provider: ProviderRow, model: string): Deployment;
  /** A deployment that nobody configured: a provider whose key is in the environment. */
  implicit(provider: ProviderRow, model: string): Deployment;
}

export function createDeploymentFactory(parts: DeploymentParts): DeploymentFactory {
  const outputLimit = createOutputLimits();
  const sealedByProvider = new Map(
    [...parts.env.providers].flatMap(([id, { credential }]) =>
      credential === undefined ? [] : [[id, parts.sealer.seal(credential)] as const],
    ),
  );
  const sealedByConfig = new WeakMap<DeploymentConfig, Uint8Array>();
  const encoder = new TextEncoder();

  const sealConfigured = (config: DeploymentConfig): Uint8Array | undefined => {
    if (config.credential === undefined) return undefined;
    const sealed = sealedByConfig.get(config) ?? parts.sealer.seal(config.credential);
    sealedByConfig.set(config, sealed);
    return sealed;
  };

  const build = (config: DeploymentConfig, id: string, provider: ProviderRow, model: string): Deployment => {
    const own = sealConfigured(config);
    const sealed = own ?? (config.missingVariable === undefined ? sealedByProvider.get(provider.id) : undefined);
    const { settings } = parts;
    return {
      id,
      provider: provider.id,
      target: create(TargetSchema, {
        provider: provider.id,
        model,
        baseUrl: config.baseUrl || (parts.env.providers.get(provider.id)?.baseUrl ?? ""),
        sealedCredential: sealed ?? new Uint8Array(),
        deployment: id,
        defaultParams: hasKeys(config.defaultParams) ? encoder.encode(JSON.stringify(config.defaultParams)) : undefined,
        headers: { ...config.headers },
        providerRow: provider.adapterRow,
        settings: { ...parts.env.providers.get(provider.id)?.settings, ...config.settings },
        dropParams: config.dropParams ?? (settings.dropParams || parts.env.dropParams),
        allowedOpenaiParams: [...config.allowedOpenaiParams],
        mockResponse: config.mockResponse,
      }),
      missingVariable: sealed === undefined ? missingVariable(config, provider) : undefined,
      weight: config.weight,
      rpm: config.rpm,
      tpm: config.tpm,
      order: config.order ?? 0,
      timeoutMs: config.timeoutMs ?? settings.timeoutMs ?? parts.env.requestTimeoutMs,
      streamTimeoutMs: config.streamTimeoutMs ?? settings.streamTimeoutMs,
      numRetries: config.numRetries ?? settings.numRetries,
      cooldownMs: config.cooldownMs,
      assumedOutputTokens: assumedOutput(parts.env, config, outputLimit(model)),
      price: withOverrides(listedPrice(parts, config, provider, model), config.prices),
      health: createHealth(),
    };
  };

  return {
    configured: build,
    implicit(provider, model) {
      const config = implicitConfig(provider.id, model);
      return build(config, deploymentHash(config, provider.id, model), provider, model);
    },
  };
}

/** A variable to name in the error, where a key is needed and there is none. An address of one's own may need none. */
function missingVariable(config: DeploymentConfig, provider: ProviderRow): string | undefined {
  if (config.missingVariable !== undefined) return config.missingVariable;
  if (!provider.needsKey || provider.ambientCredentials === true) return undefined;
  if (config.baseUrl !== "" || config.mockResponse !== undefined) return undefined;
  return provider.keyVariables[0];
}

function listedPrice(parts: DeploymentParts, config: DeploymentConfig, row: ProviderRow, model: string): PriceSource {
  const base = config.baseModel;
  if (base !== undefined) {
    const named = parts.names.split(base);
    return named === undefined ? priceOf(parts.prices, row, base) : priceOf(parts.prices, named.provider, named.model);
  }
  return row.free === true ? () => freePrice : priceOf(parts.prices, row, model);
}

function assumedOutput(env: RouterEnvironment, config: DeploymentConfig, documented: number | undefined): number {
  const { max_tokens: limit, max_completion_tokens: completionLimit } = config.defaultParams;
  const set = [limit, completionLimit, config.maxOutputTokens].find((value) => typeof value === "number" && value > 0);
  if (typeof set === "number") return Math.ceil(set);
  return Math.min(documented ?? env.defaultOutputTokens, env.maxAssumedOutputTokens);
}

/** The id of a deployment that has none: a hash of everything that tells it from another, credentials excepted. */
export function deploymentHash(config: DeploymentConfig, provider: string, model: string): string {
  const { modelName, baseUrl, order, headers, defaultParams, settings } = config;
  const parts = [modelName, provider, model, baseUrl, order ?? 0, Object.keys(headers).sort(), sorted(defaultParams)];
  if (hasKeys(settings)) parts.push(sorted(settings));
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function sorted(object: Readonly<Record<string, unknown>>): unknown {
  return Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));
}

function hasKeys(object: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(object).length > 0;
}

function implicitConfig(provider: string, model: string): DeploymentConfig {
  return {
    modelName: `${provider}/${model}`,
    id: undefined,
    model,
    provider,
    credential: undefined,
    missingVariable: undefined,
    baseUrl: "",
    settings: {},
    weight: undefined,
    rpm: undefined,
    tpm: undefined,
    order: undefined,
    timeoutMs: undefined,
    streamTimeoutMs: undefined,
    numRetries: undefined,
    cooldownMs: undefined,
    dropParams: undefined,
    allowedOpenaiParams: [],
    mockResponse: undefined,
    headers: {},
    defaultParams: {},
    prices: {},
    baseModel: undefined,
    maxOutputTokens: undefined,
    credentialName: undefined,
    about: unconfigured,
  };
}

const unconfigured: DeploymentFacts = {
  params: {},
  info: {},
  teamId: undefined,
  accessGroups: [],
  blocked: false,
  mode: "chat",
  probe: { model: undefined, timeoutMs: 60_000, maxTokens: 5, inBackground: false },
};
