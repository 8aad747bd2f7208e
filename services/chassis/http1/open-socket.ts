import { isIP, type LookupFunction, connect as openTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as openTls, type TLSSocket } from "node:tls";
import { HttpError } from "./http-error.ts";

/** Where connections go. */
export interface Origin {
  readonly isSecure: boolean;
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The `host` header. */
  readonly authority: string;
}

/** Reads past the machinery of streams. */
export interface SocketReader {
  /** Where every read goes. */
  readonly buffer: Buffer;
  /** So many bytes of it are new. */
  readonly onBytes: (length: number) => void;
}

/** What a socket needs. */
export interface SocketOptions {
  readonly origin: Origin;
  /** Absent for a socket that is read as a stream. */
  readonly reader: SocketReader | undefined;
  /** How host names are resolved; Node's own way if absent. */
  readonly lookup: LookupFunction | undefined;
  /** The TLS session of an earlier connection, so that this one is made faster. */
  readonly session: Buffer | undefined;
  /** Whether the server has to prove its name. */
  readonly verifiesCertificates: boolean;
}

/** After so long without a byte, the system asks whether the other end is still there. */
const probeDelayMs = 60_000;

/** Reads `http://host:port` or `https://host:port`. */
export function readOrigin(text: string): Origin {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    throw new HttpError("HTTP_REQUEST_INVALID", "the origin is no http or https URL");
  }
  const isSecure = url.protocol === "https:";
  return {
    isSecure,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (isSecure ? 443 : 80) : Number(url.port),
    authority: url.host,
  };
}

/** Opens a socket. It emits `connect`, or `secureConnect` when the certificate has been checked. */
export function openSocket(options: SocketOptions): Socket | TLSSocket {
  const { origin, reader, lookup } = options;
  const onread = reader && {
    buffer: reader.buffer,
    callback: (length: number) => {
      reader.onBytes(length);
      return true;
    },
  };
  const where = { host: origin.host, port: origin.port, ...(onread && { onread }), ...(lookup && { lookup }) };
  const socket = origin.isSecure ? openTls({ ...where, ...tlsOptions(options) }) : openTcp(where);
  return socket.setNoDelay(true).setKeepAlive(true, probeDelayMs);
}

/** What TLS needs to know. */
export function tlsOptions({ origin, session, verifiesCertificates }: SocketOptions): ConnectionOptions {
  return {
    host: origin.host,
    // An IP address is no server name; the certificate is checked against it all the same.
    servername: isIP(origin.host) === 0 ? origin.host : "",
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: verifiesCertificates,
    ...(session && { session }),
  };
}

/** Several addresses of one name failed: if one of them by its time, that is what is said. */
export function connectError(error: Error): Error {
  if (!(error instanceof AggregateError)) return error;
  const isLate = error.errors.some((one) => one instanceof Error && "code" in one && one.code === "ETIMEDOUT");
  return isLate ? new HttpError("HTTP_CONNECT_TIMEOUT", "no address could be reached in time", error) : error;
}
