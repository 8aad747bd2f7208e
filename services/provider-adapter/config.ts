import { readFileSync } from "node:fs";
import { ConfigurationError, type Environment, flag, integer, text } from "#chassis/environment.ts";
import type { ProxyFor } from "#chassis/http1/http-proxy.ts";
import { readOutboundProxies } from "#chassis/outbound-proxies.ts";
import { Secret } from "#chassis/secret.ts";
import { verifiesCertificates } from "#chassis/tls/public-trust.ts";

/** What an operator may set of the adapter. */
export interface AdapterConfig {
  /** How long a connection to a provider may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** How long a provider may be silent, before the head of its answer or inside it, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** The most connections to one provider address; further calls wait for one. */
  readonly maxConnections: number;
  /** The largest answer that is no stream, in bytes, after decompression. */
  readonly maxBodyBytes: number;
  /** The largest single event of a stream, in bytes. */
  readonly maxEventBytes: number;
  /** The largest file that is fetched for a provider that takes bytes alone, in bytes; 0 fetches none. */
  readonly maxMediaBytes: number;
  /** Whether such a file may come from an address that is not on the public internet. */
  readonly allowPrivateMediaUrls: boolean;
  /** Who the gateway is to a provider that is called over gRPC with TLS, and whom it trusts. */
  readonly grpcTls: GrpcTls;
  /** The proxies on the way to providers that are called over HTTP; undefined where there are none. */
  readonly proxyFor: ProxyFor | undefined;
  /** Whether a provider that is called over HTTP has to prove its name. */
  readonly verifiesCertificates: boolean;
}

/** PEM texts. */
export interface GrpcTls {
  /** The authorities that may vouch for a provider; absent means those that Node.js knows. */
  readonly authorities?: string;
  /** The gateway's own certificate. Providers' credentials are sent only where there is one. */
  readonly client?: { readonly certificate: string; readonly key: Secret };
}

const megabyte = 1024 * 1024;

export function readEnv(env: Environment): AdapterConfig {
  return {
    connectTimeoutMs: integer(env, "SLUICE_UPSTREAM_CONNECT_TIMEOUT_MS", 10_000, 1, 600_000),
    idleTimeoutMs: integer(env, "SLUICE_UPSTREAM_IDLE_TIMEOUT_MS", 600_000, 1, 86_400_000),
    maxConnections: integer(env, "SLUICE_UPSTREAM_MAX_CONNECTIONS", 1024, 1, 65_535),
    maxBodyBytes: integer(env, "SLUICE_UPSTREAM_MAX_BODY_BYTES", 64 * megabyte, 1, 1024 * megabyte),
    maxEventBytes: integer(env, "SLUICE_UPSTREAM_MAX_EVENT_BYTES", 32 * megabyte, 1, 512 * megabyte),
    maxMediaBytes: integer(env, "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB", 20, 0, 100) * megabyte,
    allowPrivateMediaUrls: flag(env, "SLUICE_ALLOW_PRIVATE_MEDIA_URLS", false),
    grpcTls: readGrpcTls(env),
    proxyFor: readOutboundProxies(env)?.proxyFor,
    verifiesCertificates: verifiesCertificates(env),
  };
}

function readGrpcTls(env: Environment): GrpcTls {
  const certificate = fileOf(env, "SLUICE_GRPC_CERT_FILE");
  const key = fileOf(env, "SLUICE_GRPC_KEY_FILE");
  if ((certificate === undefined) !== (key === undefined)) {
    throw new ConfigurationError("SLUICE_GRPC_CERT_FILE and SLUICE_GRPC_KEY_FILE must be set together");
  }
  return {
    authorities: fileOf(env, "SLUICE_GRPC_CA_FILE"),
    client: certificate === undefined || key === undefined ? undefined : { certificate, key: new Secret(key) },
  };
}

/** The text of the file that a variable names. */
function fileOf(env: Environment, variable: string): string | undefined {
  const path = text(env, variable);
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new ConfigurationError(`${variable} must name a file that can be read`);
  }
}
