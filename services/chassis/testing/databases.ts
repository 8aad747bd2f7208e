import type { Secret } from "#chassis/secret.ts";
import { startTestEmbedded } from "#chassis/testing/embedded.ts";
import { startTestPostgres } from "#chassis/testing/postgres.ts";

/** One kind of database that the same test body runs on. */
export interface TestDatabase {
  readonly name: string;
  readonly url: Secret;
}

export interface TestDatabases {
  readonly all: readonly TestDatabase[];
  stop(): Promise<void>;
}

/** Starts the embedded database and, where this machine has one, a real PostgreSQL, both empty. */
export async function startTestDatabases(): Promise<TestDatabases> {
  const [embedded, postgres] = await Promise.all([startTestEmbedded(), startTestPostgres()]);
  const all = [{ name: "PGlite", url: embedded.url }];
  if (postgres !== undefined) all.push({ name: "PostgreSQL", url: postgres.url });
  return {
    all,
    async stop() {
      await Promise.all([embedded.stop(), postgres?.stop()]);
    },
  };
}
