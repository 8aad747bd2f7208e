import type { JsonObject } from "@bufbuild/protobuf";
import { Secret } from "#chassis/secret.ts";
import { type DocumentPath, spell, valueAt, type YamlDocument } from "#chassis/yaml-file.ts";
import {
  type LitellmParams,
  litellmParamsSchema,
  type ModelInfo,
  type ModelListEntry,
  modelInfoSchema,
} from "./config-schema.ts";
import { isUnbuiltPriceKey, keyWarnings, unbuiltKeys } from "./known-keys.ts";
import { jsonObject, maskFacts, maskParams } from "./masking.ts";
import { isPriceKey, type PriceOverrides, priceKeys, ratePerToken } from "./prices/overrides.ts";
import {
  joinSecrets,
  type ProviderModel,
  type ProviderNames,
  type ProviderRow,
  type ProviderSetting,
  providerBaseUrl,
} from "./provider-table.ts";
import type { DeploymentConfig, DeploymentFacts, NamedCredential } from "./router-config.ts";

const paramKeys = new Set(Object.keys(litellmParamsSchema.shape));
const infoKeys = new Set(Object.keys(modelInfoSchema.shape));
const entryKeys = new Set(["model_name", "litellm_params", "model_info"]);

/**
 * Turns one validated entry of `model_list` into a deployment. Undefined, with a warning, where its provider is not
 * built; throws where its model names no provider at all.
 */
export function readDeployment(
  document: YamlDocument,
  names: ProviderNames,
  entry: ModelListEntry,
  index: number,
  warnings: string[],
): DeploymentConfig | undefined {
  const path: DocumentPath = ["model_list", index];
  const params = entry.litellm_params;
  const info: ModelInfo = entry.model_info ?? {};
  const found = findProvider(names, params);
  if (found === "unnamed") {
    throw document.problem([...path, "litellm_params", "model"], "provider/model, or a name whose provider is known");
  }
  if (found === "unbuilt") {
    const provider = params.custom_llm_provider ?? params.model.split("/", 1)[0];
    warnings.push(
      `${spell(path)} (${entry.model_name}): provider ${provider} is not built yet; the deployment is left out`,
    );
    return undefined;
  }
  const missingVariable = missingReferences(document, entry.model_name, path, warnings);
  const row = found === "any" ? undefined : found.provider;
  warnings.push(...entryWarnings(entry, info, path, row));
  return {
    modelName: (info.team_id && info.team_public_model_name) || entry.model_name,
    id: info.id ?? undefined,
    model: found === "any" ? params.model : found.model,
    provider: found === "any" ? undefined : found.provider.id,
    credential: readCredential(params, row),
    missingVariable,
    baseUrl: readBaseUrl(params, found),
    settings: Object.fromEntries(setOf(params, row?.settings ?? [])),
    weight: params.weight ?? undefined,
    rpm: params.rpm ?? undefined,
    tpm: params.tpm ?? undefined,
    order: params.order ?? undefined,
    timeoutMs: params.timeout ?? undefined,
    streamTimeoutMs: params.stream_timeout ?? undefined,
    numRetries: params.num_retries ?? params.max_retries ?? undefined,
    cooldownMs: params.cooldown_time ?? undefined,
    dropParams: params.drop_params ?? undefined,
    allowedOpenaiParams: params.allowed_openai_params ?? [],
    mockResponse: params.mock_response ?? undefined,
    headers: readHeaders(params),
    defaultParams: readDefaultParams(params, row),
    prices: { ...readPrices(info), ...readPrices(params) },
    baseModel: info.base_model ?? undefined,
    maxOutputTokens: info.max_output_tokens ?? info.max_tokens ?? undefined,
    credentialName: params.litellm_credential_name ?? undefined,
    about: readFacts(params, info, valueAt(document.value, path)),
  };
}

const probeDefaults = { timeoutMs: 60_000, maxTokens: 5 };

/** `written`: the entry as it stands in the document, before its values were converted. */
function readFacts(params: LitellmParams, info: ModelInfo, written: unknown): DeploymentFacts {
  const section = (name: string) => jsonObject({ ...Object(valueAt(written, [name])) });
  return {
    params: maskParams(section("litellm_params")),
    info: maskFacts(section("model_info")),
    teamId: info.team_id || undefined,
    accessGroups: info.access_groups ?? [],
    blocked: info.blocked ?? false,
    mode: info.mode ?? guessMode(params.model),
    probe: {
      model: info.health_check_model ?? undefined,
      timeoutMs: info.health_check_timeout ?? probeDefaults.timeoutMs,
      maxTokens: info.health_check_max_tokens ?? probeDefaults.maxTokens,
      inBackground: info.disable_background_health_check !== true,
    },
  };
}

function guessMode(model: string): string {
  if (/embed/i.test(model)) return "embedding";
  return /rerank/i.test(model) ? "rerank" : "chat";
}

/**
 * The deployment with what its named credential says where its own entry says nothing. Undefined where there is no such
 * credential.
 */
export function withNamedCredential(
  config: DeploymentConfig,
  credential: NamedCredential | undefined,
  row: ProviderRow | undefined,
): DeploymentConfig | undefined {
  if (config.credentialName === undefined) return config;
  if (credential === undefined) return undefined;
  const { values } = credential;
  const reveal = (name: string) => values.get(name)?.reveal();
  const secrets = (row?.secrets ?? []).flatMap(({ name }) => {
    const secret = values.get(name);
    return secret === undefined ? [] : [[name, secret] as const];
  });
  const settings = (row?.settings ?? []).flatMap(({ name }) => {
    const value = reveal(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const own = config.credential;
  const address = config.baseUrl === "" ? (reveal("api_base") ?? reveal("base_url") ?? "") : "";
  return {
    ...config,
    credential: own ?? joinSecrets(values.get("api_key"), new Map(secrets)),
    missingVariable: config.missingVariable ?? (own === undefined ? credential.missingVariable : undefined),
    baseUrl: address === "" ? config.baseUrl : row === undefined ? address : providerBaseUrl(row, address),
    settings: { ...Object.fromEntries(settings), ...config.settings },
  };
}

/** `any` is a pattern whose provider shows only when a client names the model. */
type FoundProvider = ProviderModel | "any" | "unnamed" | "unbuilt";

function findProvider(names: ProviderNames, params: LitellmParams): FoundProvider {
  const forced = params.custom_llm_provider ?? undefined;
  if (forced === undefined) {
    if (params.model.startsWith("*")) return "any";
    return names.split(params.model) ?? (params.model.includes("/") ? "unbuilt" : "unnamed");
  }
  const provider = names.byId(forced);
  if (provider === undefined) return "unbuilt";
  const prefix = `${forced}/`;
  return { provider, model: params.model.startsWith(prefix) ? params.model.slice(prefix.length) : params.model };
}

function readBaseUrl(params: LitellmParams, found: ProviderModel | "any"): string {
  const address = params.api_base ?? params.base_url ?? "";
  return address === "" || found === "any" ? address : providerBaseUrl(found.provider, address);
}

/** Warns of every variable that this entry names and that is not set; returns the one that holds the key. */
function missingReferences(
  document: YamlDocument,
  modelName: string,
  path: DocumentPath,
  warnings: string[],
): string | undefined {
  let credential: string | undefined;
  for (const missing of document.missing) {
    if (missing.path[0] !== path[0] || missing.path[1] !== path[1]) continue;
    const isKey = missing.path.at(-1) === "api_key";
    if (isKey) credential = missing.name;
    warnings.push(
      isKey
        ? `${spell(path)} (${modelName}): ${missing.name} is not set; its calls fail until it is`
        : `${spell(missing.path)} (${modelName}): ${missing.name} is not set`,
    );
  }
  return credential;
}

function entryWarnings(
  entry: ModelListEntry,
  info: ModelInfo,
  path: DocumentPath,
  row: ProviderRow | undefined,
): string[] {
  const unbuilt = unbuiltParams(Object.keys(entry.litellm_params), row);
  const restricted = Object.keys(info).filter((key) => !infoKeys.has(key) && unbuiltKeys.modelInfo.has(key));
  return [
    ...keyWarnings(spell(path), Object.keys(entry), entryKeys, new Set()),
    ...keyWarnings(`${spell(path)}.litellm_params`, unbuilt, paramKeys, new Set(unbuilt)),
    ...keyWarnings(`${spell(path)}.model_info`, restricted, infoKeys, unbuiltKeys.modelInfo),
  ];
}

/** Which parameters LiteLLM knows and have no effect here. What is a setting of one provider may be of no use to others. */
export function unbuiltParams(keys: readonly string[], row: ProviderRow | undefined): string[] {
  return keys.filter((key) => !paramKeys.has(key) && !isSetting(key, row) && isUnbuilt(key));
}

/** Whether a parameter of this name has no effect at most providers. */
export function isUnbuilt(key: string): boolean {
  return unbuiltKeys.litellmParams.has(key) || isUnbuiltPriceKey(key);
}

/** A parameter that the provider's row names goes to it as a setting, or with the credential where it is secret. */
function isSetting(key: string, row: ProviderRow | undefined): boolean {
  return [...(row?.settings ?? []), ...(row?.secrets ?? [])].some(({ name }) => name === key);
}

function setOf(params: LitellmParams, settings: readonly ProviderSetting[]): [string, string][] {
  return settings.flatMap(({ name }) => {
    const value: unknown = params[name];
    if (value === undefined || value === null) return [];
    return [[name, typeof value === "object" ? JSON.stringify(value) : String(value)]];
  });
}

function readCredential(params: LitellmParams, row: ProviderRow | undefined): Secret | undefined {
  const secrets = setOf(params, row?.secrets ?? []).map(([name, value]) => [name, new Secret(value)] as const);
  return joinSecrets(params.api_key ?? undefined, new Map(secrets));
}

function readHeaders(params: LitellmParams): Record<string, string> {
  const all = { ...params.headers, ...params.extra_headers };
  const headers = Object.fromEntries(Object.entries(all).map(([name, value]) => [name.toLowerCase(), value]));
  const organization = params.organization ?? undefined;
  return organization === undefined ? headers : { "openai-organization": organization, ...headers };
}

/** Everything that the gateway does not know by name goes to the provider, except what is known and not built. */
function readDefaultParams(params: LitellmParams, row: ProviderRow | undefined): JsonObject {
  const unknown = Object.entries(params).filter(
    ([key, value]) =>
      !paramKeys.has(key) && !isSetting(key, row) && !isUnbuilt(key) && value !== null && value !== undefined,
  );
  return jsonObject({ ...Object.fromEntries(unknown), ...params.extra_body });
}

function readPrices(section: LitellmParams | ModelInfo): PriceOverrides {
  const prices: { -readonly [K in keyof PriceOverrides]: PriceOverrides[K] } = {};
  for (const [key, value] of Object.entries(section)) {
    if (!isPriceKey(key) || (typeof value !== "number" && typeof value !== "string")) continue;
    const rate = ratePerToken(value);
    if (rate !== undefined) prices[priceKeys[key]] = rate;
  }
  return prices;
}
