import { parseArgs } from "node:util";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";

export const usage = `Usage: npm start -- [options]

  --config, -c FILE   a LiteLLM config.yaml                 (CONFIG_FILE_PATH)
  --port N            port of the gateway, default 4000     (PORT)
  --host ADDRESS      address to listen on, default 0.0.0.0 (HOST)
  --help              this text
`;

const options = {
  config: { type: "string", short: "c" },
  port: { type: "string" },
  host: { type: "string" },
  help: { type: "boolean" },
} as const;

/**
 * Lays the command line over the environment: an option wins over its variable. Returns undefined where only help was
 * asked for.
 */
export function applyArguments(env: Environment, args: readonly string[]): Environment | undefined {
  const { values } = parse(args);
  if (values.help === true) return undefined;
  return {
    ...env,
    ...(values.config === undefined ? {} : { CONFIG_FILE_PATH: values.config }),
    ...(values.port === undefined ? {} : { PORT: values.port }),
    ...(values.host === undefined ? {} : { HOST: values.host }),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, strict: true });
  } catch (error) {
    throw new ConfigurationError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
}
