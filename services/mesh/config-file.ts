import { z } from "zod";
import { type Environment, text } from "#chassis/environment.ts";
import { flag, numberIn } from "#chassis/file-values.ts";
import { Secret } from "#chassis/secret.ts";
import { emptyYaml, loadYamlFile, readSection, valueAt, type YamlDocument } from "#chassis/yaml-file.ts";
import { composeDatabaseUrl } from "./database-address.ts";
import { unbuiltGeneralSettings, unbuiltVariables } from "./unbuilt-settings.ts";

/** A LiteLLM `config.yaml` as far as it concerns the whole process. The router reads its own sections. */
export interface ConfigFile {
  readonly document: YamlDocument;
  /** The process environment with the file's `environment_variables` laid over it. */
  readonly env: Environment;
  readonly masterKey: Secret | undefined;
  /** What the file asks for and does not get, one sentence each. */
  readonly warnings: readonly string[];
}

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const variables = z.record(z.string(), scalar.nullable()).nullish();
const general = z
  .looseObject({
    master_key: z.string().min(1).nullish(),
    database_url: z.string().min(1).nullish(),
    database_connection_pool_limit: numberIn(z.number().int().min(1).max(200)),
    max_request_size_mb: numberIn(z.number().positive()),
  })
  .nullish();
/** Of the section that routing reads, what others need. */
const litellm = z
  .looseObject({
    timezone: z.string("expected the name of a time zone").nullish(),
    ssl_verify: z.union([flag, z.string()], "expected true, false or a file of certificates"),
  })
  .nullish();
const builtGeneral = [
  "master_key",
  "database_url",
  "database_connection_pool_limit",
  "max_request_size_mb",
  // Models of the API are always stored.
  "store_model_in_db",
  "background_health_checks",
  "health_check_interval",
  "health_check_details",
  "health_check_concurrency",
];
/** Read by auth. */
const authGeneral = [
  "default_team_disabled",
  "enable_jwt_auth",
  "litellm_jwtauth",
  "role_permissions",
  "enable_oauth2_auth",
];

/** Reads the file that CONFIG_FILE_PATH names. A mistake stops the start with its line, its path and what was expected. */
export async function readConfigFile(env: Environment): Promise<ConfigFile> {
  const path = text(env, "CONFIG_FILE_PATH");
  const document = path === undefined ? emptyYaml() : await loadYamlFile(path, (raw) => withVariables(env, raw));
  readSection(document, [], z.looseObject({}).nullable());
  readSection(document, ["environment_variables"], variables);
  const settings = readSection(document, ["general_settings"], general) ?? {};
  const calls = readSection(document, ["litellm_settings"], litellm) ?? {};
  const given = withVariables(env, document.value);
  return {
    document,
    env: { ...overlay(settings, calls, given), ...given },
    masterKey: typeof settings.master_key === "string" ? new Secret(settings.master_key) : undefined,
    warnings: [...unbuilt(settings), ...environmentWarnings(given)],
  };
}

/** LiteLLM exports the file's variables to the process, over what it had. */
function withVariables(env: Environment, raw: unknown): Environment {
  const own = valueAt(raw, ["environment_variables"]);
  if (typeof own !== "object" || own === null) return env;
  const entries = Object.entries(own).filter(([, value]) => scalar.safeParse(value).success);
  return { ...env, ...Object.fromEntries(entries.map(([name, value]) => [name, String(value)])) };
}

/** Settings that have a variable too; the variable wins. */
function overlay(
  settings: z.output<typeof general> & object,
  calls: z.output<typeof litellm> & object,
  given: Environment,
): Environment {
  const value = (setting: string | number | boolean | null | undefined) =>
    setting == null ? undefined : String(setting);
  return {
    DATABASE_URL: value(settings.database_url) ?? composeDatabaseUrl(given),
    SLUICE_DATABASE_POOL_SIZE: value(settings.database_connection_pool_limit),
    SLUICE_MAX_BODY_BYTES: value(
      settings.max_request_size_mb && Math.round(settings.max_request_size_mb * 1024 * 1024),
    ),
    SLUICE_TIMEZONE: value(calls.timezone),
    SSL_VERIFY: value(calls.ssl_verify),
  };
}

function unbuilt(settings: object): string[] {
  return Object.keys(settings)
    .filter((key) => ![...builtGeneral, ...authGeneral].includes(key))
    .map(
      (key) =>
        `general_settings.${key} is ${unbuiltGeneralSettings.includes(key) ? "not built yet" : "unknown"}; ignored`,
    );
}

function environmentWarnings(env: Environment): string[] {
  const workers = Number(text(env, "NUM_WORKERS") ?? 1);
  const isDatabaseUnnamed = text(env, "DATABASE_HOST") !== undefined && composeDatabaseUrl(env) === undefined;
  return [
    ...(workers === 1 ? [] : ["NUM_WORKERS above 1 is not built yet; ignored"]),
    ...(isDatabaseUnnamed
      ? ["DATABASE_HOST without DATABASE_NAME and DATABASE_USERNAME names no database; ignored"]
      : []),
    ...unbuiltVariables
      .filter((name) => text(env, name) !== undefined)
      .map((name) => `${name} is not built yet; ignored`),
  ];
}
