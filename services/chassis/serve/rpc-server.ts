import type { RequestListener } from "node:http";
import type { Logger } from "../log.ts";
import { defaultMaxMessageBytes } from "../rpc/connect-wire.ts";
import type { Secret } from "../secret.ts";
import type { Implementation } from "../service.ts";
import type { Certificates } from "../tls/certificates.ts";
import { createHealthService } from "./health-service.ts";
import { createTokenCheck } from "./mesh-token.ts";
import { OnePort } from "./one-port.ts";
import { createRequestHandler } from "./request-handler.ts";

export interface RpcServerOptions {
  /** The interface to listen on. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly implementations: readonly Implementation[];
  /** What a caller of any RPC except health must present as `authorization: Bearer`. Undefined: nothing. */
  readonly token: Secret | undefined;
  /** Further tokens that do as well. */
  readonly otherTokens?: readonly Secret[];
  /** With them the port speaks TLS, and only to callers who show a certificate of the same authority, health included. */
  readonly certificates?: Certificates | undefined;
  /** Whether the server can do its work now; asked by `grpc.health.v1.Health`. */
  readonly health: () => boolean;
  /** Answers HTTP/1.1 requests whose path is no RPC's. Without it they get 404. */
  readonly http?: RequestListener;
  readonly log: Logger;
  /** The largest request message. Default 64 MiB. */
  readonly maxMessageBytes?: number;
  /** How long a connection may take to send a request's head, in milliseconds. Default 15,000. */
  readonly headerTimeoutMs?: number;
}

export interface RpcServer {
  readonly port: number;
  /** Base URL under which this machine reaches the server. */
  readonly address: string;
  /**
   * Turns health to NOT_SERVING, stops accepting connections and waits until the calls in flight have ended, streams
   * included. What is left after `graceMs` milliseconds is cut.
   */
  close(graceMs: number): Promise<void>;
}

/** Serves RPCs on one port: gRPC, gRPC-Web and Connect, over HTTP/1.1 and HTTP/2, with mutual TLS or in clear text. */
export async function serveRpc(options: RpcServerOptions): Promise<RpcServer> {
  const closing = new AbortController();
  const health = createHealthService({
    services: options.implementations.map(({ service }) => service.typeName),
    health: options.health,
    closing: closing.signal,
  });
  const port = new OnePort({
    host: options.host,
    port: options.port,
    headerTimeoutMs: options.headerTimeoutMs ?? 15_000,
    certificates: options.certificates,
    log: options.log,
    handler: createRequestHandler({
      implementations: [...options.implementations, health],
      checkToken: createTokenCheck(options.token, options.otherTokens),
      maxMessageBytes: options.maxMessageBytes ?? defaultMaxMessageBytes,
      http: options.http,
      log: options.log,
    }),
  });
  await port.listen();
  return {
    port: port.port,
    address: `${options.certificates === undefined ? "http" : "https"}://${reachable(options.host)}:${port.port}`,
    close(graceMs) {
      closing.abort();
      return port.close(graceMs);
    },
  };
}

function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::" || host === "") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
