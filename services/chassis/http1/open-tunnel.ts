import type { Socket } from "node:net";
import { connect as openTls, type TLSSocket } from "node:tls";
import type { HeadReader } from "./answer-head.ts";
import { HttpError, malformed } from "./http-error.ts";
import { authorizationLine, type HttpProxy, proxyError } from "./http-proxy.ts";
import { openSocket, type SocketOptions, type SocketReader, tlsOptions } from "./open-socket.ts";

export interface TunnelOptions extends SocketOptions {
  readonly reader: SocketReader;
  readonly proxy: HttpProxy;
  readonly heads: HeadReader;
}

/** A proxy says little before it connects, or why it does not. */
const maxHeadBytes = 16 * 1024;

/**
 * Opens a connection to a secure origin through a proxy, RFC 9110, section 9.3.6. Returns the socket to the proxy. `done`
 * hears once: of the socket to the origin, which emits `secureConnect` when the certificate has been checked, or of what went
 * wrong before.
 */
export function openTunnel(options: TunnelOptions, done: (outcome: TLSSocket | HttpError) => void): Socket | TLSSocket {
  const { origin, proxy, heads } = options;
  const socket = openSocket({ ...options, origin: proxy.origin, reader: undefined, session: undefined });
  const ask = () => socket.write(connectHead(`${bracketed(origin.host)}:${origin.port}`, proxy), "latin1");
  let held = "";
  let failure = new Error("the proxy has closed the connection");
  const onClose = () => finish(proxyError(failure));
  const onReadable = () => {
    for (let piece = socket.read(); piece !== null; piece = socket.read()) held += piece.toString("latin1");
    try {
      if (isConnected(held, heads)) finish(enter(socket, options));
    } catch (error) {
      finish(new HttpError("HTTP_PROXY_REFUSED", "the proxy does not connect", error));
    }
  };
  const finish = (outcome: TLSSocket | HttpError) => {
    socket.off("readable", onReadable).off("close", onClose);
    done(outcome);
  };
  return socket
    .once(proxy.origin.isSecure ? "secureConnect" : "connect", ask)
    .on("readable", onReadable)
    .on("close", onClose)
    .on("error", (error) => {
      failure = error;
    });
}

function connectHead(authority: string, proxy: HttpProxy): string {
  return `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${authorizationLine(proxy)}\r\n`;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Whether the proxy's answer is complete; throws where it is not that it has connected. */
function isConnected(held: string, heads: HeadReader): boolean {
  const end = held.indexOf("\r\n\r\n");
  if (end === -1) {
    if (held.length > maxHeadBytes) throw malformed("the head is too large");
    return false;
  }
  const { status } = heads.read(held.slice(0, end + 2));
  if (status < 200 || status > 299) throw new Error(`the proxy answered ${status}`);
  // A server of TLS waits for its client's greeting.
  if (held.length > end + 4) throw malformed("something came before the tunnel was used");
  return true;
}

/** TLS to the origin, over a socket to the proxy. Node.js reads such a socket as a stream alone. */
function enter(socket: Socket | TLSSocket, options: TunnelOptions): TLSSocket {
  const { buffer, onBytes } = options.reader;
  return openTls({ ...tlsOptions(options), socket }).on("data", (bytes: Buffer) => {
    for (let at = 0; at < bytes.length; at += buffer.length) onBytes(bytes.copy(buffer, 0, at));
  });
}
