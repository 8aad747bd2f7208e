import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { packDirectory, unpackDirectory } from "#chassis/archive.ts";
import { type EmbeddedContents, readEmbeddedContents } from "#chassis/database/embedded-contents.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { errorText, type Logger } from "#chassis/log.ts";
import { embeddedVersion, version } from "../version.ts";

/** What a backup says of itself, in `backup.json` beside the database's files in `postgres`. */
const aboutSchema = z.object({
  format: z.literal(1),
  sluice: z.string(),
  pglite: z.string(),
  made_at: z.iso.datetime(),
});
export type AboutBackup = z.infer<typeof aboutSchema>;

const aboutName = "backup.json";

/** Packs a directory that holds a copy of the database in `postgres`; adds what the backup says of itself. */
export async function packBackup(directory: string, file: string, madeAt: Date): Promise<void> {
  const about: AboutBackup = { format: 1, sluice: version, pglite: embeddedVersion, made_at: madeAt.toISOString() };
  await writeFile(join(directory, aboutName), `${JSON.stringify(about)}\n`);
  await packDirectory(directory, file);
}

/**
 * Unpacks a backup into a directory, which is made anew, and opens the database there: what is left in `postgres` is one
 * that was recovered, read to the last row, and closed.
 *
 * @throws ConfigurationError for a file that is no backup, is damaged, or is of another version.
 */
export async function unpackBackup(
  file: string,
  directory: string,
  log: Logger,
): Promise<{ about: AboutBackup; contents: EmbeddedContents }> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const about = await unpack(file, directory);
  try {
    return { about, contents: await readEmbeddedContents(directory, log) };
  } catch (error) {
    const versions =
      about.pglite === embeddedVersion
        ? ""
        : ` It was made by Sluice ${about.sluice} with PGlite ${about.pglite}, and this is Sluice ${version} with PGlite ${embeddedVersion}: restore it with the version that made it.`;
    throw new ConfigurationError(`The database in ${file} cannot be opened: ${errorText(error)}.${versions}`);
  }
}

async function unpack(file: string, directory: string): Promise<AboutBackup> {
  await stat(file).catch((error) => {
    throw new ConfigurationError(`${file} cannot be read: ${errorText(error)}`);
  });
  try {
    await unpackDirectory(file, directory);
    const about: unknown = JSON.parse(await readFile(join(directory, aboutName), "utf8"));
    await stat(join(directory, "postgres", "PG_VERSION"));
    return aboutSchema.parse(about);
  } catch (error) {
    throw new ConfigurationError(`${file} is not a backup of Sluice, or is damaged: ${errorText(error)}`);
  }
}

/** `auth: 25 tables, 340 rows`, a line for every schema. */
export function describeContents({ schemas }: EmbeddedContents): string {
  return schemas.map(({ name, tables, rows }) => `  ${name}: ${tables} tables, ${rows} rows\n`).join("");
}
