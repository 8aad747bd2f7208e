import type { Environment } from "#chassis/environment.ts";
import { createLogger, type Logger } from "#chassis/log.ts";
import { type MeshConfig, readMeshConfig } from "../config.ts";
import { type ConfigFile, readConfigFile } from "../config-file.ts";
import { State } from "../state.ts";

/** What a command gets that works on what a gateway stores. */
export interface CommandContext {
  readonly file: ConfigFile;
  readonly config: MeshConfig;
  /** The gateway's databases, whether it is running or not. */
  readonly state: State;
  /** Warnings and errors only: what a command has to say it writes to standard output. */
  readonly log: Logger;
}

/**
 * Runs a command with the same environment, configuration file and data directory as the gateway, which may be running.
 * Resolves with what the work resolves with, after everything is closed.
 *
 * @throws ConfigurationError for a person's mistake.
 */
export async function withStoredData<T>(
  environment: Environment,
  work: (context: CommandContext) => Promise<T>,
): Promise<T> {
  const file = await readConfigFile(environment);
  const config = readMeshConfig({ ...file.env, SLUICE_SERVICES: undefined });
  const log = createLogger("warn");
  const state = await State.openBeside(config, log);
  try {
    return await work({ file, config, state, log });
  } finally {
    await state.close();
  }
}
