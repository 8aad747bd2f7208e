import { cp, lstat, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import { createLogger } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";

/** An embedded database for one test file, empty at its start. */
export interface TestEmbedded {
  readonly url: Secret;
  /** Sluice's data directory, with the database below it. */
  readonly dataDir: string;
  /** Closes the database and opens it again on the same data. */
  restart(): Promise<void>;
  /** Closes the database and removes its data. */
  stop(): Promise<void>;
}

const log = createLogger("error");

/** Starts an embedded database on a copy of files that are made once per machine: making them takes seconds. */
export async function startTestEmbedded(): Promise<TestEmbedded> {
  const dataDir = await copyTestDataDir();
  let embedded: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir, log });
  return {
    url: embedded.url,
    dataDir,
    async restart() {
      await embedded.close();
      embedded = await startEmbeddedPostgres({ dataDir, log });
    },
    async stop() {
      await embedded.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A fresh data directory that already holds the files of an empty database. The caller removes it. */
export async function copyTestDataDir(): Promise<string> {
  const template = await findTemplate();
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-embedded-"));
  await cp(join(template, "postgres"), join(dataDir, "postgres"), { recursive: true });
  return dataDir;
}

/** Its name changes with the version of PGlite, whose files may differ. */
const templateVersion = "0.5.14";

async function findTemplate(): Promise<string> {
  const user = process.getuid?.() ?? 0;
  const template = join(tmpdir(), `sluice-template-${templateVersion}-${user}`);
  if (await isOwn(template, user)) return template;
  const fresh = await mkdtemp(`${template}-`);
  await (await startEmbeddedPostgres({ dataDir: fresh, log })).close();
  try {
    await rename(fresh, template);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (!(await isOwn(template, user))) throw error;
  }
  return template;
}

async function isOwn(directory: string, user: number): Promise<boolean> {
  try {
    const found = await lstat(directory);
    return found.isDirectory() && found.uid === user;
  } catch {
    return false;
  }
}
