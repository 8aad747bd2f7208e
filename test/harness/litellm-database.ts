import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MikroORM } from "@mikro-orm/postgresql";
import { readTestEnv } from "#chassis/testing/config.ts";

const root = join(import.meta.dirname, "../..");
const dump = join(root, "test/fixtures/litellm/litellm-1.106.2.sql");

/** What the values of the dump are sealed under. */
export const saltKey = "sk-salt-of-the-fixture";

/** A database that tests look into. */
export interface OpenDatabase {
  readonly url: string;
  execute(sql: string): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** Opens a database of a server, which is made where it is not there. */
export async function openTestDatabase(server: string, name: string): Promise<OpenDatabase> {
  const address = new URL(server);
  const first = await connect(address.href);
  const [known] = await first.execute(`select 1 from pg_database where datname = '${name}'`);
  if (known === undefined) await first.execute(`create database ${name}`);
  await first.close();
  address.pathname = `/${name}`;
  return connect(address.href);
}

/** A database that LiteLLM has made and filled. */
export async function openLitellmDatabase(server: string, name: string): Promise<OpenDatabase> {
  const database = await openTestDatabase(server, name);
  await database.execute(await readFile(dump, "utf8"));
  return database;
}

async function connect(url: string): Promise<OpenDatabase> {
  const orm = await MikroORM.init({
    contextName: url,
    dbName: new URL(url).pathname.slice(1),
    driverOptions: { connectionString: url },
    entities: [],
    discovery: { warnWhenNoEntities: false },
    ensureDatabase: false,
  });
  return {
    url,
    execute: (sql) => orm.em.fork().execute(sql),
    close: () => orm.close(true),
  };
}

/** LiteLLM does not say when a customer was made; another sealing is another text. */
const momentary = ["sealed_params", "sealed_values", "wrapped_key", "imported_at", "created_at", "updated_at"];

/** Everything that Sluice stores, as one text for each row. What depends on the moment or on chance is left out. */
export async function snapshot(database: OpenDatabase): Promise<string[]> {
  const tables = await database.execute(
    `select table_schema || '.' || table_name as name from information_schema.tables
     where table_schema in ('auth', 'router', 'accounting') and table_type = 'BASE TABLE'
       and table_name not like 'migration%' and table_name <> 'keyring' and table_name not like 'spend\\_log%' order by 1`,
  );
  const rows: string[] = [];
  for (const { name } of tables) {
    const found = await database.execute(
      `select (to_jsonb(t) - array[${momentary.map((column) => `'${column}'`).join(", ")}])::text as row
       from ${String(name)} t`,
    );
    rows.push(...found.map(({ row }) => `${String(name)} ${String(row)}`).toSorted());
  }
  return rows;
}

/** A run of the command, as a person starts it. */
export interface ImportProcess {
  kill(): void;
  /** Resolves when it is gone; the code is null where it was killed. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
}

export function startImport(args: readonly string[], env: Readonly<Record<string, string>>): ImportProcess {
  const command = join(root, "services/mesh/commands/import-litellm.ts");
  const child = spawn(process.execPath, [command, ...args], {
    env: { PATH: readTestEnv().path, HOME: tmpdir(), TZ: "UTC", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  return {
    kill: () => void child.kill("SIGKILL"),
    ended: once(child, "close").then(([code]) => ({ code: typeof code === "number" ? code : null, output })),
  };
}
