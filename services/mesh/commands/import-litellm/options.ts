import { parseArgs } from "node:util";
import { ConfigurationError, type Environment, text } from "#chassis/environment.ts";
import { Secret } from "#chassis/secret.ts";

export const usage = `Usage: npm run import-litellm -- --database-url ADDRESS [options]

  --database-url ADDRESS  LiteLLM's PostgreSQL                       (LITELLM_IMPORT_DATABASE_URL)
  --salt-key KEY          LiteLLM's LITELLM_SALT_KEY, if it had one  (LITELLM_IMPORT_SALT_KEY)
  --master-key KEY        LiteLLM's master key                       (LITELLM_IMPORT_MASTER_KEY)
  --config, -c FILE       Sluice's config.yaml                       (CONFIG_FILE_PATH)
  --dry-run               says what would be taken, and writes no row
  --leave-unreadable      leaves models and credentials that do not open, instead of stopping
  --report FILE           writes the report as JSON too
  --help                  this text

Sluice's own database is found as the gateway finds it: by the same environment, configuration file and data directory.
Arguments can be seen by everybody on this machine; the variables in brackets cannot.
`;

const options = {
  "database-url": { type: "string" },
  "salt-key": { type: "string" },
  "master-key": { type: "string" },
  config: { type: "string", short: "c" },
  "dry-run": { type: "boolean" },
  "leave-unreadable": { type: "boolean" },
  report: { type: "string" },
  help: { type: "boolean" },
} as const;

/** What a person asks an import for. */
export interface ImportOptions {
  readonly databaseUrl: Secret;
  /** What LiteLLM's values may be sealed under, the likeliest first. */
  readonly keys: readonly Secret[];
  readonly dryRun: boolean;
  readonly leaveUnreadable: boolean;
  readonly reportFile: string | undefined;
  /** The gateway's own environment. */
  readonly environment: Environment;
}

/**
 * Reads the command line, and for secrets the variables of LiteLLM's side. They have names of their own: the gateway's
 * own LITELLM_SALT_KEY may be another one. Undefined where only help was asked for.
 *
 * @throws ConfigurationError
 */
export function readOptions(args: readonly string[], environment: Environment): ImportOptions | undefined {
  const values = parse(args);
  if (values.help === true) return undefined;
  const databaseUrl = values["database-url"] ?? text(environment, "LITELLM_IMPORT_DATABASE_URL");
  if (databaseUrl === undefined) throw new ConfigurationError(`LiteLLM's database has to be named.\n\n${usage}`);
  const keys = [
    values["salt-key"] ?? text(environment, "LITELLM_IMPORT_SALT_KEY"),
    values["master-key"] ?? text(environment, "LITELLM_IMPORT_MASTER_KEY"),
  ];
  return {
    databaseUrl: new Secret(databaseUrl),
    keys: keys.flatMap((key) => (key === undefined ? [] : new Secret(key))),
    dryRun: values["dry-run"] ?? false,
    leaveUnreadable: values["leave-unreadable"] ?? false,
    reportFile: values.report,
    environment: { ...environment, ...(values.config === undefined ? {} : { CONFIG_FILE_PATH: values.config }) },
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    throw new ConfigurationError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
}
