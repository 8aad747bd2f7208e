import { readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import {
  credentialListSchema,
  type FallbackList,
  healthSettingsSchema,
  type LitellmSettingsSection,
  litellmSettingsSchema,
  modelListSchema,
  type RouterSettingsSection,
  routerSettingsSchema,
} from "./config-schema.ts";
import { keysOfAuth, keyWarnings, unbuiltKeys } from "./known-keys.ts";
import { jsonObject, maskFacts, secretValues } from "./masking.ts";
import { readDeployment } from "./model-list.ts";
import { readProviders } from "./provider-list.ts";
import { createProviderNames, type ProviderNames } from "./provider-table.ts";
import type {
  DeploymentConfig,
  FallbackTable,
  HealthSettings,
  ModelAlias,
  NamedCredential,
  RouterConfig,
  RouterSettings,
} from "./router-config.ts";

const sections = new Set([
  "providers",
  "model_list",
  "credential_list",
  "router_settings",
  "litellm_settings",
  "general_settings",
  "environment_variables",
]);
const routerKeys = new Set(Object.keys(routerSettingsSchema.unwrap().unwrap().shape));
const litellmKeys = new Set([...Object.keys(litellmSettingsSchema.unwrap().unwrap().shape), ...keysOfAuth]);

const healthDefaults = { intervalMs: 300_000, concurrency: 10 };
const defaults = { numRetries: 2, cooldownMs: 5_000, maxFallbacks: 5 };

/**
 * Reads `providers`, `model_list`, `credential_list`, `router_settings` and `litellm_settings` of a LiteLLM configuration,
 * what of `general_settings` concerns deployments, and looks at the names of all sections. Throws a ConfigurationError that lists every wrong value with its line. A warning is one sentence: a key that
 * is unknown or not built, a variable that is not set.
 */
export function parseRouterConfig(document: YamlDocument): { config: RouterConfig; warnings: string[] } {
  const providers = readProviders(document);
  const names = createProviderNames(providers);
  const entries = readSection(document, ["model_list"], modelListSchema) ?? [];
  const router = readSection(document, ["router_settings"], routerSettingsSchema) ?? {};
  const litellm = readSection(document, ["litellm_settings"], litellmSettingsSchema) ?? {};
  const warnings = sectionWarnings(document, router, litellm);
  const deployments = entries.flatMap((entry, index) => readDeployment(document, names, entry, index, warnings) ?? []);
  const config: RouterConfig = {
    providers,
    deployments:
      litellm.enable_azure_ad_token_refresh === true
        ? deployments.map((deployment) => withMachineIdentity(deployment, names))
        : deployments,
    credentials: readCredentials(document),
    aliases: readAliases(router.model_group_alias ?? {}),
    settings: readSettings(router, litellm),
    health: readHealthSettings(document),
  };
  warnings.push(...fallbackWarnings(config, names), ...credentialWarnings(config));
  return { config, warnings };
}

/** A deployment at Azure without a key of its own may use whatever identity the machine offers. */
function withMachineIdentity(deployment: DeploymentConfig, names: ProviderNames): DeploymentConfig {
  const row = deployment.provider === undefined ? undefined : names.byId(deployment.provider);
  if (row?.settings?.some(({ name }) => name === "azure_credential") !== true) return deployment;
  return { ...deployment, settings: { azure_credential: "DefaultAzureCredential", ...deployment.settings } };
}

function sectionWarnings(
  document: YamlDocument,
  router: RouterSettingsSection,
  litellm: LitellmSettingsSection,
): string[] {
  const top = typeof document.value === "object" && document.value !== null ? Object.keys(document.value) : [];
  const strategy = router.routing_strategy ?? "simple-shuffle";
  return [
    ...keyWarnings("", top, sections, unbuiltKeys.document),
    ...keyWarnings("router_settings", Object.keys(router), routerKeys, unbuiltKeys.routerSettings),
    ...keyWarnings("litellm_settings", Object.keys(litellm), litellmKeys, unbuiltKeys.litellmSettings),
    ...(strategy === "simple-shuffle"
      ? []
      : [`router_settings.routing_strategy ${strategy} is not built yet; simple-shuffle is used`]),
  ];
}

function readSettings(router: RouterSettingsSection, litellm: LitellmSettingsSection): RouterSettings {
  return {
    numRetries: router.num_retries ?? litellm.num_retries ?? defaults.numRetries,
    timeoutMs: router.timeout ?? litellm.request_timeout ?? undefined,
    streamTimeoutMs: router.stream_timeout ?? undefined,
    retryAfterMs: router.retry_after ?? 0,
    allowedFails: router.allowed_fails ?? litellm.allowed_fails ?? undefined,
    cooldownMs: router.cooldown_time ?? defaults.cooldownMs,
    disableCooldowns: router.disable_cooldowns ?? false,
    fallbacks: readFallbacks(router.fallbacks ?? litellm.fallbacks),
    contextWindowFallbacks: readFallbacks(router.context_window_fallbacks ?? litellm.context_window_fallbacks),
    contentPolicyFallbacks: readFallbacks(router.content_policy_fallbacks ?? litellm.content_policy_fallbacks),
    defaultFallbacks: (router.default_fallbacks ?? litellm.default_fallbacks ?? []).map(targetName),
    maxFallbacks: router.max_fallbacks ?? litellm.max_fallbacks ?? defaults.maxFallbacks,
    dropParams: litellm.drop_params ?? false,
  };
}

function readCredentials(document: YamlDocument): NamedCredential[] {
  const entries = readSection(document, ["credential_list"], credentialListSchema) ?? [];
  return entries.map((entry, index) => ({
    name: entry.credential_name,
    info: maskFacts(jsonObject(entry.credential_info ?? {})),
    values: secretValues(jsonObject(entry.credential_values ?? {})),
    missingVariable: document.missing.find(
      ({ path }) => path[0] === "credential_list" && path[1] === index && path.at(-1) === "api_key",
    )?.name,
  }));
}

function readHealthSettings(document: YamlDocument): HealthSettings {
  const settings = readSection(document, ["general_settings"], healthSettingsSchema) ?? {};
  return {
    background: settings.background_health_checks ?? false,
    intervalMs: settings.health_check_interval ?? healthDefaults.intervalMs,
    details: settings.health_check_details ?? true,
    concurrency: settings.health_check_concurrency ?? healthDefaults.concurrency,
  };
}

function readFallbacks(list: FallbackList): FallbackTable {
  const table = new Map<string, readonly string[]>();
  for (const entry of list ?? []) {
    for (const [group, targets] of Object.entries(entry)) table.set(group, targets.map(targetName));
  }
  return table;
}

function targetName(target: string | { readonly model: string }): string {
  return typeof target === "string" ? target : target.model;
}

function readAliases(
  aliases: NonNullable<RouterSettingsSection["model_group_alias"]>,
): ReadonlyMap<string, ModelAlias> {
  const entries = Object.entries(aliases).map(([name, alias]): [string, ModelAlias] => [
    name,
    typeof alias === "string" ? { model: alias, hidden: false } : { model: alias.model, hidden: alias.hidden ?? false },
  ]);
  return new Map(entries);
}

/** A fallback to a name that nothing can serve helps nobody; it is a typing mistake more often than not. */
function fallbackWarnings(config: RouterConfig, names: ReturnType<typeof createProviderNames>): string[] {
  const known = new Set([
    ...config.deployments.flatMap(({ modelName, id }) => (id === undefined ? [modelName] : [modelName, id])),
    ...config.aliases.keys(),
  ]);
  const patterns = config.deployments.some(({ modelName }) => modelName.includes("*"));
  const { fallbacks, contextWindowFallbacks, contentPolicyFallbacks, defaultFallbacks } = config.settings;
  const targets = [fallbacks, contextWindowFallbacks, contentPolicyFallbacks].flatMap((table) => [...table.values()]);
  const unknown = [...targets.flat(), ...defaultFallbacks].filter(
    (name) => !patterns && !known.has(name) && names.split(name) === undefined,
  );
  return [...new Set(unknown)].map((name) => `fallback ${name} is not in model_list and has no known provider`);
}

/** It may be one of the database, which is not known yet. */
function credentialWarnings({ deployments, credentials }: RouterConfig): string[] {
  const known = new Set(credentials.map(({ name }) => name));
  const unknown = deployments.flatMap(({ credentialName }) =>
    credentialName === undefined || known.has(credentialName) ? [] : [credentialName],
  );
  return [...new Set(unknown)].map((name) => `credential ${name} is not in credential_list`);
}
