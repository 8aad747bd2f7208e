import { randomBytes } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { chmod, chown, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Secret } from "#chassis/secret.ts";
import { findProgram, freePort, runServerTool, startServerProcess } from "#chassis/server-process.ts";

export interface PostgresServerOptions {
  /** The directory of the `postgres` and `initdb` programs, from `findPostgres`. */
  readonly binDir: string;
  /** Where the cluster lives; made on the first start and used again on later ones. */
  readonly dataDir: string;
  /** False trades safety against a power cut for speed: for tests and trials. */
  readonly fsync: boolean;
  readonly port?: number;
}

/** A PostgreSQL server that this process started, on 127.0.0.1, with a password of its own. */
export interface PostgresServer {
  /** The address of its database `postgres`, as its superuser. */
  readonly url: Secret;
  readonly port: number;
  readonly pid: number;
  readonly exited: Promise<void>;
  /** Disconnects everybody and shuts down cleanly. */
  stop(): Promise<void>;
}

const database = "postgres";
const user = "sluice";

/** The newest PostgreSQL of this machine: a directory that holds `postgres` and `initdb`. */
export function findPostgres(path: string): string | undefined {
  const packaged = globSync("/usr/lib/postgresql/*/bin").sort(byVersionDescending);
  const homebrew = globSync("/opt/homebrew/opt/postgresql@*/bin").sort(byVersionDescending);
  const initdb = findProgram("initdb", path, [...packaged, ...homebrew]);
  if (initdb === undefined) return undefined;
  const binDir = dirname(initdb);
  return existsSync(join(binDir, "postgres")) ? binDir : undefined;
}

/** Starts PostgreSQL on its own cluster directory, as the user `postgres` where this process runs as root. */
export async function startPostgresServer(options: PostgresServerOptions): Promise<PostgresServer> {
  const cluster = join(options.dataDir, "cluster");
  const password = await prepareCluster(options, cluster);
  const port = options.port ?? (await freePort());
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "200",
    fsync: options.fsync ? "on" : "off",
    synchronous_commit: options.fsync ? "on" : "off",
    full_page_writes: options.fsync ? "on" : "off",
    logging_collector: "off",
    log_destination: "stderr",
  };
  const server = await startServerProcess({
    command: join(options.binDir, "postgres"),
    args: [
      "-D",
      cluster,
      "-p",
      String(port),
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    ready: (line) => line.includes("database system is ready to accept connections"),
    readyTimeoutMs: 30_000,
    user: "postgres",
  });
  return {
    url: new Secret(`postgresql://${user}:${password}@127.0.0.1:${port}/${database}`),
    port,
    pid: server.pid,
    exited: server.exited,
    stop: () => server.stop("SIGINT"),
  };
}

async function prepareCluster(options: PostgresServerOptions, cluster: string): Promise<string> {
  const passwordFile = join(options.dataDir, "password");
  if (existsSync(join(cluster, "PG_VERSION"))) return (await readFile(passwordFile, "utf8")).trim();
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  await rm(cluster, { recursive: true, force: true });
  const password = randomBytes(18).toString("hex");
  await writeFile(passwordFile, password, { mode: 0o600 });
  await chmod(passwordFile, 0o600);
  if (process.getuid?.() === 0) await giveToPostgres([options.dataDir, passwordFile]);
  const initdb = join(options.binDir, "initdb");
  const login = ["-U", user, "--auth=scram-sha-256", `--pwfile=${passwordFile}`];
  const form = ["--encoding=UTF8", "--locale=C", ...(options.fsync ? [] : ["--no-sync"])];
  await runServerTool(initdb, ["-D", cluster, ...login, ...form], "postgres");
  return password;
}

async function giveToPostgres(paths: readonly string[]): Promise<void> {
  const accounts = await readFile("/etc/passwd", "utf8");
  const fields = accounts
    .split("\n")
    .find((line) => line.startsWith("postgres:"))
    ?.split(":");
  if (fields === undefined) throw new Error("PostgreSQL refuses to run as root, and there is no user postgres");
  for (const path of paths) await chown(path, Number(fields[2]), Number(fields[3]));
}

function byVersionDescending(a: string, b: string): number {
  return b.localeCompare(a, "en", { numeric: true });
}
