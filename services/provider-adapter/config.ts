import { type Environment, integer } from "#chassis/environment.ts";

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
}

const megabyte = 1024 * 1024;

export function readEnv(env: Environment): AdapterConfig {
  return {
    connectTimeoutMs: integer(env, "SLUICE_UPSTREAM_CONNECT_TIMEOUT_MS", 10_000, 1, 600_000),
    idleTimeoutMs: integer(env, "SLUICE_UPSTREAM_IDLE_TIMEOUT_MS", 600_000, 1, 86_400_000),
    maxConnections: integer(env, "SLUICE_UPSTREAM_MAX_CONNECTIONS", 1024, 1, 65_535),
    maxBodyBytes: integer(env, "SLUICE_UPSTREAM_MAX_BODY_BYTES", 64 * megabyte, 1, 1024 * megabyte),
    maxEventBytes: integer(env, "SLUICE_UPSTREAM_MAX_EVENT_BYTES", 32 * megabyte, 1, 512 * megabyte),
  };
}
