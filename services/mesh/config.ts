import { resolve } from "node:path";
import { ConfigurationError, type Environment, flag, integer, list, oneOf, text } from "#chassis/environment.ts";
import type { LogLevel } from "#chassis/log.ts";
import { Secret } from "#chassis/secret.ts";
import { type ServiceName, serviceNames } from "#chassis/service.ts";
import type { IdentityFiles } from "#chassis/tls/identity.ts";
import type { TracingConfig } from "#chassis/tracing.ts";
import { readTracingConfig } from "./tracing-config.ts";

/** How this process is composed: what it hosts, where the rest is, and where state and events live. */
export interface MeshConfig {
  readonly services: ReadonlySet<ServiceName>;
  /** Base URLs of the services that run elsewhere. */
  readonly addresses: ReadonlyMap<ServiceName, readonly string[]>;
  readonly http: { readonly host: string; readonly port: number };
  /** The port for peers; undefined where the process serves none. */
  readonly rpc: { readonly host: string; readonly port: number } | undefined;
  /** A port in clear text for probes and metrics alone; undefined where there is none. */
  readonly probe: { readonly host: string; readonly port: number } | undefined;
  /** The certificate that peers are shown and must have; undefined means that peers are spoken to in clear text. */
  readonly tls: IdentityFiles | undefined;
  /** What peers must present and are sent. */
  readonly meshToken: Secret | undefined;
  /** Tokens that peers may still present, or present already, while one takes the place of another. */
  readonly otherMeshTokens: readonly Secret[];
  readonly natsUrl: string | undefined;
  readonly natsToken: Secret | undefined;
  /** How many NATS servers keep a durable event. */
  readonly natsReplicas: number;
  /** Undefined means the embedded database in `dataDir`. */
  readonly databaseUrl: Secret | undefined;
  readonly databasePoolSize: number;
  readonly dataDir: string;
  /** Whether the embedded database writes every commit to the disk before it acknowledges it. */
  readonly embeddedFsync: boolean;
  readonly configFile: string | undefined;
  /** How long calls in flight may go on after SIGTERM. An orchestrator's own patience is usually shorter. */
  readonly drainMs: number;
  readonly logLevel: LogLevel;
  /** Where traces go; undefined means nowhere. */
  readonly tracing: TracingConfig | undefined;
}

const urlVariables: Record<ServiceName, string> = {
  edge: "SLUICE_EDGE_URL",
  auth: "SLUICE_AUTH_URL",
  router: "SLUICE_ROUTER_URL",
  "provider-adapter": "SLUICE_PROVIDER_ADAPTER_URL",
  accounting: "SLUICE_ACCOUNTING_URL",
};

/** Whom a hosted service calls. */
const peers: Record<ServiceName, readonly ServiceName[]> = {
  edge: ["auth", "router", "accounting"],
  auth: ["accounting"],
  router: ["provider-adapter", "accounting", "auth"],
  "provider-adapter": ["auth"],
  accounting: [],
};

export function readMeshConfig(env: Environment): MeshConfig {
  const services = hostedServices(env);
  const [meshToken, ...otherMeshTokens] = (list(env, "SLUICE_MESH_TOKEN") ?? []).map((token) => new Secret(token));
  const config: MeshConfig = {
    services,
    addresses: remoteAddresses(env, services),
    http: { host: text(env, "HOST") ?? "0.0.0.0", port: integer(env, "PORT", 4000, 0, 65535) },
    rpc: rpcAddress(env, services),
    probe: probeAddress(env),
    tls: tlsFiles(env),
    meshToken,
    otherMeshTokens,
    natsUrl: text(env, "NATS_URL"),
    natsToken: secret(env, "NATS_TOKEN"),
    natsReplicas: integer(env, "SLUICE_NATS_REPLICAS", 1, 1, 5),
    databaseUrl: secret(env, "DATABASE_URL"),
    databasePoolSize: integer(env, "SLUICE_DATABASE_POOL_SIZE", 10, 1, 200),
    dataDir: resolve(text(env, "SLUICE_DATA_DIR") ?? ".sluice"),
    embeddedFsync: flag(env, "SLUICE_EMBEDDED_FSYNC", false),
    configFile: text(env, "CONFIG_FILE_PATH"),
    drainMs: integer(env, "SLUICE_DRAIN_MS", 600_000, 0, 3_600_000),
    logLevel: logLevel(env),
    tracing: readTracingConfig(env),
  };
  check(config);
  return config;
}

function secret(env: Environment, name: string): Secret | undefined {
  const value = text(env, name);
  return value === undefined ? undefined : new Secret(value);
}

function hostedServices(env: Environment): ReadonlySet<ServiceName> {
  const names = list(env, "SLUICE_SERVICES") ?? serviceNames;
  return new Set(
    names.map((name) => {
      const known = serviceNames.find((candidate) => candidate === name);
      if (known !== undefined) return known;
      throw new ConfigurationError(`SLUICE_SERVICES: unknown service "${name}"; there are ${serviceNames.join(", ")}`);
    }),
  );
}

function remoteAddresses(env: Environment, hosted: ReadonlySet<ServiceName>): Map<ServiceName, readonly string[]> {
  const wanted = new Set([...hosted].flatMap((service) => peers[service]).filter((service) => !hosted.has(service)));
  const addresses = new Map<ServiceName, readonly string[]>();
  for (const service of wanted) {
    const urls = list(env, urlVariables[service]);
    if (urls === undefined) {
      throw new ConfigurationError(
        `${urlVariables[service]} must name the ${service}, which this process does not host`,
      );
    }
    for (const url of urls) {
      if (!/^https?:\/\//.test(url))
        throw new ConfigurationError(`${urlVariables[service]} must hold http:// or https:// addresses`);
    }
    addresses.set(service, urls);
  }
  return addresses;
}

function rpcAddress(env: Environment, hosted: ReadonlySet<ServiceName>): MeshConfig["rpc"] {
  if (hosted.has("edge") && text(env, "SLUICE_RPC_PORT") === undefined) return undefined;
  return {
    host: text(env, "SLUICE_RPC_HOST") ?? "0.0.0.0",
    port: integer(env, "SLUICE_RPC_PORT", 4100, 0, 65535),
  };
}

function probeAddress(env: Environment): MeshConfig["probe"] {
  if (text(env, "SLUICE_PROBE_PORT") === undefined) return undefined;
  return {
    host: text(env, "SLUICE_RPC_HOST") ?? "0.0.0.0",
    port: integer(env, "SLUICE_PROBE_PORT", 0, 0, 65535),
  };
}

function tlsFiles(env: Environment): IdentityFiles | undefined {
  const [certificate, key, authorities] = ["SLUICE_TLS_CERT", "SLUICE_TLS_KEY", "SLUICE_TLS_CA"].map((name) =>
    text(env, name),
  );
  if (certificate === undefined && key === undefined && authorities === undefined) return undefined;
  if (certificate === undefined || key === undefined || authorities === undefined) {
    throw new ConfigurationError("SLUICE_TLS_CERT, SLUICE_TLS_KEY and SLUICE_TLS_CA must be set together");
  }
  return { certificate, key, authorities };
}

function logLevel(env: Environment): LogLevel {
  const variable = text(env, "SLUICE_LOG") === undefined ? "LITELLM_LOG" : "SLUICE_LOG";
  const level = oneOf(env, variable, ["debug", "info", "warn", "warning", "error"], "info");
  return level === "warning" ? "warn" : level;
}

function check(config: MeshConfig): void {
  const whole = config.services.size === serviceNames.length;
  if (config.meshToken === undefined && config.tls === undefined && (!whole || config.rpc !== undefined)) {
    throw new ConfigurationError(
      "SLUICE_MESH_TOKEN, or SLUICE_TLS_CERT, SLUICE_TLS_KEY and SLUICE_TLS_CA, must be set where services run in several processes",
    );
  }
  for (const [service, urls] of config.addresses) {
    if (config.tls !== undefined && urls.some((url) => !url.startsWith("https:"))) {
      throw new ConfigurationError(
        `${urlVariables[service]} must hold https:// addresses where SLUICE_TLS_CERT is set`,
      );
    }
  }
  if (!whole && config.natsUrl === undefined) {
    throw new ConfigurationError("NATS_URL must be set where services run in several processes");
  }
  const stateful = config.services.has("auth") || config.services.has("accounting");
  if (!whole && stateful && config.databaseUrl === undefined) {
    throw new ConfigurationError("DATABASE_URL must be set where services run in several processes");
  }
}
