import { isIP, type LookupFunction, connect as openTcp, type Socket } from "node:net";
import { connect as openTls, type TLSSocket } from "node:tls";
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

/** What a socket needs. */
export interface SocketOptions {
  readonly origin: Origin;
  /** Where every read goes. */
  readonly buffer: Buffer;
  /** So many bytes of it are new. */
  readonly onBytes: (length: number) => void;
  /** How host names are resolved; Node's own way if absent. */
  readonly lookup: LookupFunction | undefined;
  /** The TLS session of an earlier connection, so that this one is made faster. */
  readonly session: Buffer | undefined;
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

/**
 * Opens a socket that reads into a buffer of its owner's, past the machinery of streams. It emits `connect`, or
 * `secureConnect` when the certificate has been checked.
 */
export function openSocket({ origin, buffer, onBytes, lookup, session }: SocketOptions): Socket | TLSSocket {
  const onread = {
    buffer,
    callback: (length: number) => {
      onBytes(length);
      return true;
    },
  };
  const where = { host: origin.host, port: origin.port, onread, ...(lookup && { lookup }) };
  const socket = origin.isSecure
    ? openTls({
        ...where,
        // An IP address is no server name; the certificate is checked against it all the same.
        servername: isIP(origin.host) === 0 ? origin.host : "",
        ALPNProtocols: ["http/1.1"],
        ...(session && { session }),
      })
    : openTcp(where);
  return socket.setNoDelay(true).setKeepAlive(true, probeDelayMs);
}

/** Several addresses of one name failed: if one of them by its time, that is what is said. */
export function connectError(error: Error): Error {
  if (!(error instanceof AggregateError)) return error;
  const isLate = error.errors.some((one) => one instanceof Error && "code" in one && one.code === "ETIMEDOUT");
  return isLate ? new HttpError("HTTP_CONNECT_TIMEOUT", "no address could be reached in time", error) : error;
}
