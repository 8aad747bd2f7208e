import { once } from "node:events";
import { createServer } from "node:net";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import { createLogger } from "#chassis/log.ts";
import { type RpcServer, type RpcServerOptions, serveRpc } from "#chassis/serve/rpc-server.ts";
import { createTelemetry } from "#chassis/telemetry.ts";
import { Certificates } from "#chassis/tls/certificates.ts";
import { createTracing } from "#chassis/tracing.ts";
import type { EdgeService } from "../edge/service.ts";
import { readRouterEnv } from "../router/config.ts";
import { parseRouterConfig } from "../router/config-file.ts";
import type { LoadedConfig } from "../router/models/live-models.ts";
import { banner } from "./banner.ts";
import { type MeshConfig, readMeshConfig } from "./config.ts";
import { type ConfigFile, readConfigFile } from "./config-file.ts";
import { ProcessHealth } from "./health.ts";
import { type Hosted, hostServices, type Start } from "./hosting.ts";
import { findMasterKey, type MasterKey } from "./master-key.ts";
import { prepareOutbound } from "./outbound.ts";
import { Peers } from "./peers.ts";
import { State } from "./state.ts";
import { tracedHttp } from "./traced-http.ts";

/** A process of the mesh that serves. */
export interface Gateway {
  /** The port of the edge; undefined in a process without one. */
  readonly port: number | undefined;
  /** The port for peers; undefined where there is none. */
  readonly rpcPort: number | undefined;
  /** What to tell the person who started it. */
  readonly banner: string;
  /** Reads the configuration file again, where this process uses it. Never rejects. */
  reloadConfig(): Promise<void>;
  /** Finishes calls in flight, then stops everything. */
  close(): Promise<void>;
}

/** What listens, in the order in which it closes. */
interface Servers {
  edge?: RpcServer;
  rpc?: RpcServer;
  probe?: RpcServer;
}

/** Starts the services that the environment names and serves them. Throws a ConfigurationError for a person's mistake. */
export async function startGateway(environment: Environment): Promise<Gateway> {
  const began = performance.now();
  const file = await readConfigFile(environment);
  const routing = readRouting(file);
  const config = readMeshConfig(file.env);
  if (config.services.has("edge")) await checkPort(config.http);
  const log = createLogger(config.logLevel);
  const warnings = [...file.warnings, ...prepareOutbound(file.env)];
  const tracing = config.tracing === undefined ? undefined : await createTracing(config.tracing);
  const certificates = config.tls && (await Certificates.open({ files: config.tls, log }));
  const state = await State.open(config, log);
  const start: Start = {
    file,
    routing,
    readRouting: async () => readRouting(await readConfigFile(environment)),
    config,
    log,
    state,
    peers: new Peers(config, log, tracing, certificates),
    tracing,
    telemetry: createTelemetry(),
    health: new ProcessHealth(state, config, certificates),
    masterKey: masterKeyOf(file, config),
    stopping: new AbortController(),
    certificates,
  };
  const servers: Servers = {};
  const close = closeOnce(start, servers);
  let hosted: Hosted;
  try {
    // In a mesh every process reads the file; one of them says what it finds.
    if (config.services.has("edge")) for (const warning of warnings) log.warn(warning);
    hosted = await hostServices(start);
    await serve(start, servers, hosted.edge);
  } catch (error) {
    await close();
    throw error;
  }
  const ports = { port: servers.edge?.port, rpcPort: servers.rpc?.port };
  return {
    ...ports,
    banner: describe(start, ports, performance.now() - began),
    reloadConfig: async () => hosted.router?.reloadConfig(),
    close,
  };
}

function readRouting(file: ConfigFile): LoadedConfig {
  const { config, warnings } = parseRouterConfig(file.document);
  return { config, env: readRouterEnv(file.env, config.providers), references: file.env, warnings };
}

/** A process that neither checks keys nor touches credentials needs no master key. */
function masterKeyOf(file: ConfigFile, { services, dataDir }: MeshConfig): MasterKey | undefined {
  const whole = services.has("edge") && services.has("auth") && services.has("router");
  const needed = services.has("auth") || services.has("router") || services.has("provider-adapter");
  return needed ? findMasterKey(file.env, file.masterKey, whole ? dataDir : undefined) : undefined;
}

async function serve(start: Start, servers: Servers, edge: EdgeService | undefined): Promise<void> {
  const { config, log, telemetry, peers, health, certificates } = start;
  const base = { token: config.meshToken, otherTokens: config.otherMeshTokens, health: () => true, log };
  if (edge !== undefined) {
    // Its RPCs are for clients, who show a key of their own and know no mesh token.
    const { implementations, handler } = edge;
    const http = start.tracing === undefined ? handler : tracedHttp(handler, start.tracing);
    servers.edge = await listen({ ...base, token: undefined, ...config.http, implementations, http }, "PORT");
  }
  const own = health.handler(() => telemetry.scrape());
  if (config.rpc !== undefined) {
    const inside = peers.hosted.filter((service) => service !== edge);
    const implementations = inside.flatMap((service) => service.implementations);
    servers.rpc = await listen({ ...base, ...config.rpc, certificates, implementations, http: own }, "SLUICE_RPC_PORT");
  }
  if (config.probe !== undefined) {
    const options = {
      ...base,
      ...config.probe,
      token: undefined,
      implementations: [],
      health: () => !start.stopping.signal.aborted,
    };
    servers.probe = await listen({ ...options, http: own }, "SLUICE_PROBE_PORT");
  }
}

/** A taken port is said before anything is opened, and not after a first start of many seconds. */
async function checkPort({ host, port }: MeshConfig["http"]): Promise<void> {
  const probe = createServer().listen(port, host);
  try {
    await once(probe, "listening");
  } catch (error) {
    throw inUse(error, port, "PORT");
  }
  probe.close();
  await once(probe, "close");
}

async function listen(options: RpcServerOptions, variable: string): Promise<RpcServer> {
  try {
    return await serveRpc(options);
  } catch (error) {
    throw inUse(error, options.port, variable);
  }
}

function inUse(error: unknown, port: number, variable: string): unknown {
  const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
  return taken ? new ConfigurationError(`Port ${port} is in use. Choose another one with ${variable}.`) : error;
}

/** From the outside in: first nobody new comes in and calls in flight end, then each service, then what they stood on. */
function closeOnce(start: Start, servers: Servers): () => Promise<void> {
  const { config, state, peers, telemetry, tracing, certificates } = start;
  let closing: Promise<void> | undefined;
  const run = async () => {
    start.stopping.abort();
    const hosted = [...peers.hosted].reverse();
    const edge = hosted.find(({ name }) => name === "edge");
    await Promise.all([edge?.close(), servers.edge?.close(config.drainMs)]);
    await servers.rpc?.close(config.drainMs);
    for (const service of hosted) if (service !== edge) await service.close();
    await servers.probe?.close(0);
    await peers.close();
    await certificates?.close();
    await state.close();
    await tracing?.close();
    await telemetry.close();
  };
  return () => {
    closing ??= run();
    return closing;
  };
}

function describe({ config, masterKey }: Start, ports: Pick<Gateway, "port" | "rpcPort">, readyMs: number): string {
  const { port, rpcPort } = ports;
  if (port === undefined || masterKey === undefined) {
    return `${[...config.services].join(", ")} ready on port ${port ?? rpcPort}\n`;
  }
  const database = config.databaseUrl === undefined ? "embedded PostgreSQL" : "journal; the database is DATABASE_URL";
  return banner({ port, readyMs, dataDir: config.dataDir, database, masterKey });
}
