import { createHash, randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { findPostgres, startPostgresServer } from "#chassis/database/postgres-server.ts";
import { ConfigurationError, type Environment, text } from "#chassis/environment.ts";
import { findNatsServer, startNatsServer } from "#chassis/events/nats-server.ts";
import { freePort } from "#chassis/server-process.ts";
import { type ServiceName, serviceNames } from "#chassis/service.ts";
import { applyArguments, usage } from "./arguments.ts";
import { banner } from "./banner.ts";
import { readConfigFile } from "./config-file.ts";
import { explain, onSignals } from "./main-process.ts";
import { findMasterKey, type MasterKey } from "./master-key.ts";
import { type SupervisedService, superviseService } from "./supervise.ts";

/** A server that the local mesh found or started. */
interface Backing {
  readonly url: string;
  stop(): Promise<void>;
}

interface Backings {
  readonly postgres: Backing;
  readonly nats: Backing;
  /** Where they are, for the person who reads the banner. */
  readonly description: string;
}

/** Runs the five services as five processes on this machine, with PostgreSQL and NATS found or started. */
async function runLocalMesh(args: readonly string[], environment: Environment): Promise<void> {
  const began = performance.now();
  const env = applyArguments(environment, args);
  if (env === undefined) return void process.stdout.write(usage.replace("npm start", "npm run mesh"));
  const dataDir = join(resolve(text(env, "SLUICE_DATA_DIR") ?? ".sluice"), "mesh");
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const file = await readConfigFile(env);
  const masterKey = findMasterKey(file.env, file.masterKey, dataDir);
  const backing = await startBacking(file.env, dataDir);
  const ports = new Map<ServiceName, number>();
  for (const service of serviceNames) ports.set(service, service === "edge" ? httpPort(env) : await freePort());
  const base: Environment = {
    ...env,
    ...masterKeyVariable(masterKey),
    SLUICE_MESH_TOKEN: text(env, "SLUICE_MESH_TOKEN") ?? randomBytes(24).toString("base64url"),
    DATABASE_URL: backing.postgres.url,
    NATS_URL: backing.nats.url,
  };
  const running = serviceNames.map((service) =>
    superviseService(service, serviceEnvironment(base, service, ports, dataDir)),
  );
  const stop = stopOnce(running, backing);
  onSignals(() => void stop());
  process.on("SIGHUP", () => {
    for (const service of running) service.reload();
  });
  try {
    await Promise.all(running.map((service) => service.ready));
    const readyMs = performance.now() - began;
    const processes = running.map(({ name, pid }) => ({ name, pid: pid(), port: ports.get(name) }));
    const facts = { port: httpPort(env), readyMs, dataDir, database: backing.description, masterKey, processes };
    process.stdout.write(banner(facts));
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A key that is kept in a file is read there by every process: the file changes when the key is replaced. */
function masterKeyVariable({ key, origin, place, former }: MasterKey): Environment {
  const inFile = origin === "stored" || origin === "generated";
  if (inFile) return { SLUICE_MASTER_KEY_FILE: place };
  return { SLUICE_MASTER_KEY: key.reveal(), ...(former && { SLUICE_MASTER_KEY_FILE: former.place }) };
}

function httpPort(env: Environment): number {
  return Number(text(env, "PORT") ?? 4000);
}

function serviceEnvironment(
  base: Environment,
  service: ServiceName,
  ports: ReadonlyMap<ServiceName, number>,
  dataDir: string,
): Environment {
  const scheme = text(base, "SLUICE_TLS_CERT") === undefined ? "http" : "https";
  const url = (name: ServiceName) => `${scheme}://127.0.0.1:${ports.get(name)}`;
  return {
    ...base,
    SLUICE_SERVICES: service,
    // One number cannot be the port of five processes.
    SLUICE_PROBE_PORT: undefined,
    SLUICE_DATA_DIR: join(dataDir, service),
    SLUICE_AUTH_URL: url("auth"),
    SLUICE_ROUTER_URL: url("router"),
    SLUICE_PROVIDER_ADAPTER_URL: url("provider-adapter"),
    SLUICE_ACCOUNTING_URL: url("accounting"),
    ...(service === "edge" ? {} : { SLUICE_RPC_HOST: "127.0.0.1", SLUICE_RPC_PORT: String(ports.get(service)) }),
  };
}

async function startBacking(env: Environment, dataDir: string): Promise<Backings> {
  const path = text(env, "PATH") ?? "";
  const givenPostgres = text(env, "DATABASE_URL");
  const givenNats = text(env, "NATS_URL");
  const binDir = givenPostgres === undefined ? findPostgres(path) : undefined;
  const command = givenNats === undefined ? findNatsServer(path) : undefined;
  const missing = [
    ...(givenPostgres === undefined && binDir === undefined ? [postgresHint] : []),
    ...(givenNats === undefined && command === undefined ? [natsHint] : []),
  ];
  if (missing.length > 0) throw new ConfigurationError(missing.join("\n\n"));
  const postgres = binDir === undefined ? given(givenPostgres) : await startPostgres(binDir, clusterDir(dataDir));
  const nats = await startNats(command, givenNats, dataDir).catch(async (error) => {
    // A server that runs on would keep this process alive.
    await postgres.stop();
    throw error;
  });
  const place = binDir === undefined ? "the database is DATABASE_URL" : `PostgreSQL in ${clusterDir(dataDir)}`;
  return { postgres, nats, description: `journal and NATS; ${place}` };
}

async function startNats(command: string | undefined, url: string | undefined, dataDir: string): Promise<Backing> {
  return command === undefined ? given(url) : startNatsServer({ command, dataDir: join(dataDir, "nats") });
}

function given(url: string | undefined): Backing {
  return { url: url ?? "", stop: async () => {} };
}

/**
 * PostgreSQL refuses to run as root and is started as the user postgres then, who can reach neither a home directory of
 * root nor our data directory. The cluster gets a place of its own, which belongs to this data directory.
 */
function clusterDir(dataDir: string): string {
  if (process.getuid?.() !== 0) return join(dataDir, "postgresql");
  return join("/var/tmp", `sluice-${createHash("sha256").update(dataDir).digest("hex").slice(0, 12)}`);
}

async function startPostgres(binDir: string, dataDir: string): Promise<Backing> {
  const server = await startPostgresServer({ binDir, dataDir, fsync: true });
  return { url: server.url.reveal(), stop: () => server.stop() };
}

const postgresHint = `PostgreSQL was not found. Install it, or set DATABASE_URL to a running one.
  Debian, Ubuntu:  apt-get install postgresql
  macOS:           brew install postgresql@17`;

const natsHint = `nats-server was not found. Install it, or set NATS_URL to a running one with JetStream.
  Debian, Ubuntu:  apt-get install nats-server
  macOS:           brew install nats-server`;

/** From the outside in, so that nobody loses a peer while it drains; then the servers they stood on. */
function stopOnce(running: readonly SupervisedService[], backing: Backings) {
  let stopping: Promise<void> | undefined;
  const order: readonly ServiceName[] = ["edge", "router", "provider-adapter", "auth", "accounting"];
  return () => {
    stopping ??= (async () => {
      for (const name of order) await running.find((service) => service.name === name)?.stop();
      await backing.nats.stop();
      await backing.postgres.stop();
    })();
    return stopping;
  };
}

await explain(() => runLocalMesh(process.argv.slice(2), process.env));
