import { parseArgs } from "node:util";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";

export const usage = `Usage: npm start -- [options]

  --config, -c FILE   a LiteLLM config.yaml                 (CONFIG_FILE_PATH)
  --port N            port of the gateway, default 4000     (PORT)
  --host ADDRESS      address to listen on, default 0.0.0.0 (HOST)
  --help              this text

Of LiteLLM's own options --debug, --detailed_debug, --drop_params and --request_timeout are taken too, --num_workers is
reported, and --telemetry says nothing: there is none.
`;

const options = {
  config: { type: "string", short: "c" },
  port: { type: "string" },
  host: { type: "string" },
  help: { type: "boolean" },
  // What a command line of LiteLLM may hold besides.
  debug: { type: "boolean" },
  detailed_debug: { type: "boolean" },
  drop_params: { type: "boolean" },
  num_workers: { type: "string" },
  request_timeout: { type: "string" },
  telemetry: { type: "string" },
} as const;

/**
 * Lays the command line over the environment: an option wins over its variable. Returns undefined where only help was
 * asked for.
 */
export function applyArguments(env: Environment, args: readonly string[]): Environment | undefined {
  const { values } = parse(args);
  if (values.help === true) return undefined;
  const isDebugged = values.debug === true || values.detailed_debug === true;
  const given: Environment = {
    CONFIG_FILE_PATH: values.config,
    PORT: values.port,
    HOST: values.host,
    SLUICE_LOG: isDebugged ? "debug" : undefined,
    LITELLM_DROP_PARAMS: values.drop_params === true ? "true" : undefined,
    NUM_WORKERS: values.num_workers,
    REQUEST_TIMEOUT: values.request_timeout,
  };
  return { ...env, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, strict: true });
  } catch (error) {
    throw new ConfigurationError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
}
