import { existsSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openDataDir } from "#chassis/data-dir.ts";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import { createLogger, errorText } from "#chassis/log.ts";
import { readMeshConfig } from "../config.ts";
import { readConfigFile } from "../config-file.ts";
import { explain } from "../main-process.ts";
import { describeContents, unpackBackup } from "./backup-file.ts";

const usage = `Usage: npm run restore -- --from FILE [--replace]

Puts the database of a backup into the data directory of a gateway that is stopped. --replace: also where there is one
already, which is kept beside it.
`;

const postgresAdvice = `DATABASE_URL is set: PostgreSQL is restored with its own program, into an empty database.

  pg_restore --exit-on-error --no-owner --dbname="postgresql://…" sluice.dump

See docs/runbooks/master-key.md.`;

/**
 * Unpacks a backup in the data directory, opens it there and reads every row, and only then puts it in its place. The
 * journal stays as it is: the next start books what it holds and the backup lacks. What it says goes to `write`.
 *
 * @throws ConfigurationError for a person's mistake.
 */
export async function restore(
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> {
  const options = readArguments(args);
  if (options === undefined) return write(usage);
  const file = await readConfigFile(environment);
  const { dataDir, databaseUrl } = readMeshConfig({ ...file.env, SLUICE_SERVICES: undefined });
  if (databaseUrl !== undefined) throw new ConfigurationError(postgresAdvice);
  const held = await openDataDir(dataDir).catch((error) => {
    throw new ConfigurationError(`Stop the gateway first: ${errorText(error)}.`);
  });
  try {
    write(await restoreInto(held.path, options));
  } finally {
    held.close();
  }
}

interface RestoreArguments {
  readonly from: string;
  readonly replace: boolean;
}

function readArguments(args: readonly string[]): RestoreArguments | undefined {
  try {
    const options = { from: { type: "string" }, replace: { type: "boolean" }, help: { type: "boolean" } } as const;
    const { values } = parseArgs({ args: [...args], options, strict: true });
    if (values.help === true) return undefined;
    if (values.from === undefined) throw new Error("--from is missing");
    return { from: resolve(values.from), replace: values.replace === true };
  } catch (error) {
    throw new ConfigurationError(`${errorText(error)}\n\n${usage}`);
  }
}

async function restoreInto(dataDir: string, { from, replace }: RestoreArguments): Promise<string> {
  const place = join(dataDir, "postgres");
  const occupied = existsSync(place);
  if (occupied && !replace) {
    throw new ConfigurationError(
      `There is a database in ${dataDir} already. With --replace it is kept beside the new one.`,
    );
  }
  const workDir = join(dataDir, "restore-work");
  try {
    const { about, contents } = await unpackBackup(from, workDir, createLogger("error"));
    const kept = `${place}-${new Date().toISOString().replaceAll(/[-:.]/g, "")}`;
    if (occupied) renameSync(place, kept);
    renameSync(join(workDir, "postgres"), place);
    const before = occupied ? `The database that was there is now in ${kept}.\n` : "";
    return `Restored to ${dataDir}, as of ${about.made_at}:
${describeContents(contents)}${before}Start the gateway with the master key and the salt key of that time.
`;
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const work = () => restore(process.argv.slice(2), process.env, (text) => void process.stdout.write(text));
  await explain(work, "Nothing was restored.");
}
