import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { errorText, type Logger } from "../log.ts";
import type { Certificates } from "../tls/certificates.ts";

export interface TlsListenerOptions {
  readonly certificates: Certificates;
  readonly handshakeTimeoutMs: number;
  readonly log: Logger;
  /** Every connection from its first byte on. */
  readonly onSocket: (socket: Socket) => void;
  /** One whose other end has shown a valid certificate. */
  readonly onPeer: (socket: TLSSocket) => void;
}

/** Between two log lines about refused callers, of whom there may be any number. */
const refusalPauseMs = 1_000;

/**
 * Listens with TLS 1.2 or newer and demands a certificate of a trusted authority. Who has none, or one that has expired,
 * is cut off before a byte of theirs is read, and a log line says why.
 */
export function createTlsListener(options: TlsListenerOptions): Server {
  const { certificates, log } = options;
  const refused = createRefusalLog(log);
  const server = createServer({
    ...certificates.identity.options(),
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: options.handshakeTimeoutMs,
    noDelay: true,
    requestCert: true,
    // Checked below: here Node would cut the connection without saying why.
    rejectUnauthorized: false,
    // A resumed session shows no certificate again, so none is: an authority may have lost its trust meanwhile.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  });
  server.on("connection", options.onSocket);
  server.on("tlsClientError", (error, socket) => {
    // Who only looks whether the port is open hangs up too.
    if ("code" in error && error.code === "ECONNRESET") log.debug("rpc caller hung up in the handshake");
    else refused(socket, errorText(error));
  });
  server.on("secureConnection", (socket) => {
    const problem = problemOf(socket);
    if (problem === undefined) options.onPeer(socket);
    else {
      refused(socket, problem);
      socket.on("error", () => undefined).destroy();
    }
  });
  const unwatch = certificates.onChange(() => server.setSecureContext(certificates.identity.options()));
  server.once("close", unwatch);
  return server;
}

function problemOf(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined || socket.isSessionReused()) return "no certificate was shown";
  if (socket.authorized) return undefined;
  const reason = String(socket.authorizationError ?? "it was not verified");
  return `the certificate of ${certificate.subject.slice(0, 200)} is not accepted: ${reason}`;
}

function createRefusalLog(log: Logger): (socket: TLSSocket, error: string) => void {
  let quietUntil = 0;
  let others = 0;
  return ({ remoteAddress }, error) => {
    const now = performance.now();
    if (now < quietUntil) {
      others += 1;
      return;
    }
    quietUntil = now + refusalPauseMs;
    log.warn("rpc caller refused", { address: remoteAddress, error, ...(others > 0 && { othersBefore: others }) });
    others = 0;
  };
}
