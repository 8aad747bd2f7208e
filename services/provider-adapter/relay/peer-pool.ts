import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { AdapterConfig, GrpcTls } from "../config.ts";
import type { PeerAddress } from "./peer-address.ts";

/** A connection that a call may use until it gives it back. */
export interface PeerLease {
  readonly client: Client<typeof InferenceService>;
  /** Call it once, when the call is over. */
  release(): void;
}

/** The HTTP/2 connections to services in other processes. */
export interface PeerPool {
  /** Finds or opens a connection. Rejects with what went wrong underneath, or with the signal's reason. */
  lease(address: PeerAddress, signal: AbortSignal): Promise<PeerLease>;
  /** Waits for the calls in flight and closes the connections. */
  close(): Promise<void>;
}

interface Connection {
  readonly manager: Http2SessionManager;
  readonly client: Client<typeof InferenceService>;
  calls: number;
}

/** Addresses with connections. Where one more is needed, the one that was added first and is idle is closed. */
const maxAddresses = 1000;
/** Calls on a connection, as many as the usual server allows, before another one is opened. */
const callsPerConnection = 100;
/** A connection that nobody uses for so long is closed. */
const idleMs = 5 * 60_000;
/**
 * A connection that was silent for longer is asked for a sign of life before it gets a call. Stock servers close a
 * connection that asks more often than every five minutes,
 * https://grpc.github.io/grpc/core/md_doc_keepalive.html
 */
const verifyAfterMs = 5 * 60_000 + 10_000;

/** What a message holds besides its payloads, at most. */
const messageOverheadBytes = 64 * 1024;

export function createPeerPool(config: AdapterConfig): PeerPool {
  const peers = new Map<string, Connection[]>();
  const maxConnections = Math.ceil(config.maxConnections / callsPerConnection);
  let inFlight = 0;
  let whenIdle: (() => void) | undefined;

  const connectionTo = (address: PeerAddress): Connection => {
    const known = peers.get(address.url) ?? add(peers, address.url);
    const free = known.find(({ calls }) => calls < callsPerConnection);
    if (free !== undefined) return free;
    if (known.length >= maxConnections) return known.reduce((best, one) => (one.calls < best.calls ? one : best));
    const opened = openConnection(config, address);
    known.push(opened);
    return opened;
  };
  const finish = (connection: Connection): void => {
    connection.calls -= 1;
    inFlight -= 1;
    if (inFlight === 0) whenIdle?.();
  };

  return {
    async lease(address, signal) {
      signal.throwIfAborted();
      const connection = connectionTo(address);
      connection.calls += 1;
      inFlight += 1;
      try {
        await connected(connection.manager, config.connectTimeoutMs, signal);
      } catch (error) {
        finish(connection);
        throw error;
      }
      return { client: connection.client, release: () => finish(connection) };
    },
    async close() {
      if (inFlight > 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        whenIdle = resolve;
        await promise;
      }
      for (const connection of [...peers.values()].flat()) connection.manager.abort();
      peers.clear();
    },
  };
}

function add(peers: Map<string, Connection[]>, url: string): Connection[] {
  if (peers.size >= maxAddresses) {
    const [idle] = [...peers].find(([, connections]) => connections.every(({ calls }) => calls === 0)) ?? [];
    if (idle === undefined) throw new ConnectError("too many services are called at once", Code.Unavailable);
    for (const { manager } of peers.get(idle) ?? []) manager.abort();
    peers.delete(idle);
  }
  const connections: Connection[] = [];
  peers.set(url, connections);
  return connections;
}

function openConnection(config: AdapterConfig, { url, secure }: PeerAddress): Connection {
  const manager = new Http2SessionManager(
    url,
    { pingIntervalMs: verifyAfterMs, pingTimeoutMs: config.connectTimeoutMs, idleConnectionTimeoutMs: idleMs },
    { settings: { initialWindowSize: 1024 * 1024 }, ...(secure ? tlsOptions(config.grpcTls) : {}) },
  );
  const readMaxBytes = Math.max(config.maxBodyBytes, config.maxEventBytes) + messageOverheadBytes;
  const transport = createGrpcTransport({ baseUrl: url, sessionManager: manager, readMaxBytes });
  return { manager, client: createClient(InferenceService, transport), calls: 0 };
}

function tlsOptions({ authorities, client }: GrpcTls) {
  return { ca: authorities, cert: client?.certificate, key: client?.key.reveal() };
}

/** Waits for the connection. One that takes too long is given up, for all who wait for it. */
async function connected(manager: Http2SessionManager, limitMs: number, signal: AbortSignal): Promise<void> {
  if (manager.state() === "open") return;
  const waiting = new AbortController();
  const late = sleep(limitMs, "late" as const, { signal: AbortSignal.any([signal, waiting.signal]) });
  try {
    const state = await Promise.race([manager.connect(), late]);
    if (state === "error") throw manager.error() ?? new ConnectError("no connection", Code.Unavailable);
    if (state !== "late") return;
    manager.abort();
    throw new ConnectError("no connection in time", Code.DeadlineExceeded);
  } finally {
    waiting.abort();
    late.catch(() => undefined);
  }
}
