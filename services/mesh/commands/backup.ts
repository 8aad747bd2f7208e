import { existsSync } from "node:fs";
import { copyFile, mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openDataDir } from "#chassis/data-dir.ts";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import { errorText } from "#chassis/log.ts";
import { explain } from "../main-process.ts";
import { describeContents, packBackup, unpackBackup } from "./backup-file.ts";
import { type CommandContext, withStoredData } from "./command.ts";

const usage = `Usage: npm run backup -- [--to FILE]

Backs up the embedded database of a gateway, which may be running, to a new file: by default
backups/sluice-<time>.tar.zst in the data directory.
`;

const postgresAdvice = `DATABASE_URL is set: PostgreSQL is backed up with its own program.

  pg_dump --format=custom --file=sluice.dump "$DATABASE_URL"

docs/runbooks/master-key.md has the restore, too.`;

/**
 * Writes a backup and proves it: the file is unpacked beside the database and opened there, and every row is read, before
 * it gets its name. What it says goes to `write`.
 *
 * @throws ConfigurationError for a person's mistake.
 */
export async function backup(
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> {
  const madeAt = new Date();
  const options = readArguments(args);
  if (options === undefined) return write(usage);
  await withStoredData(environment, async (context) => {
    const { dataDir, databaseUrl } = context.config;
    if (databaseUrl !== undefined) throw new ConfigurationError(postgresAdvice);
    if (!existsSync(join(dataDir, "postgres"))) throw new ConfigurationError(`There is no database in ${dataDir}.`);
    const to = resolve(options.to ?? join(dataDir, "backups", `sluice-${fileTime(madeAt)}.tar.zst`));
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    refuseExisting(to);
    write(await inWorkDir(dataDir, (workDir) => makeBackup(context, workDir, to, madeAt)));
  });
}

function readArguments(args: readonly string[]): { to: string | undefined } | undefined {
  try {
    const options = { to: { type: "string" }, help: { type: "boolean" } } as const;
    const { values } = parseArgs({ args: [...args], options, strict: true });
    return values.help === true ? undefined : { to: values.to };
  } catch (error) {
    throw new ConfigurationError(`${errorText(error)}\n\n${usage}`);
  }
}

/** `2026-11-21T23-45-10Z`, which every file system takes. */
function fileTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replaceAll(":", "-")}Z`;
}

function refuseExisting(file: string): void {
  if (existsSync(file)) throw new ConfigurationError(`${file} exists already. A backup replaces nothing.`);
}

/** One backup at a time has the directory, which holds copies of everything and is emptied of what a killed one left. */
async function inWorkDir<T>(dataDir: string, work: (directory: string) => Promise<T>): Promise<T> {
  const path = join(dataDir, "backup-work");
  const held = await openDataDir(path).catch((error) => {
    throw new ConfigurationError(`Is another backup being made? ${errorText(error)}`);
  });
  const inner = join(path, "now");
  try {
    await rm(inner, { recursive: true, force: true });
    await mkdir(inner, { mode: 0o700 });
    return await work(inner);
  } finally {
    await rm(path, { recursive: true, force: true });
    held.close();
  }
}

async function makeBackup(context: CommandContext, workDir: string, to: string, madeAt: Date): Promise<string> {
  const copy = join(workDir, "copy");
  const packed = join(workDir, "packed");
  const { heldMs, nextTransaction } = await context.state.copyEmbedded(join(copy, "postgres"));
  await packBackup(copy, packed, madeAt);
  await rm(copy, { recursive: true });
  const { contents } = await unpackBackup(packed, join(workDir, "opened"), context.log);
  if (contents.nextTransaction < nextTransaction) throw new Error("the copy lacks the last transactions");
  const { size } = await stat(packed);
  await publish(packed, to);
  return `${to}
${(size / 1e6).toFixed(1)} MB; the database's other users waited ${Math.ceil(heldMs)} ms. Opened and read again:
${describeContents(contents)}The master key and the salt key are not in it: keep those of today elsewhere, credentials open with them alone.
`;
}

/** On another file system it is copied first, as `<name>.partial`. */
async function publish(packed: string, to: string): Promise<void> {
  refuseExisting(to);
  try {
    await rename(packed, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error;
    const partial = `${to}.partial`;
    try {
      await copyFile(packed, partial);
      await rename(partial, to);
    } finally {
      await rm(partial, { force: true });
    }
  }
}

if (import.meta.main) {
  const work = () => backup(process.argv.slice(2), process.env, (text) => void process.stdout.write(text));
  await explain(work, "No backup was made.");
}
